"""A device's process that the bench starts itself, once it listens, and ends when it has done."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence

from lwm2m_lab.errors import BadInput

__all__ = ["command_of", "started"]

#: Seconds that a process has for an orderly end.
LEAVE_WITHIN = 5.0
#: What stands in a command for the URI of the bench's server.
PLACE = "{server}"


def command_of(start: str | Sequence[str]) -> list[str]:
    """A command as its parts; ``lwm2m-lab`` in front is this lab, wherever it is installed.

    Raises
    ------
    BadInput
        For a command that does not say where the server's URI goes, or that nobody can take apart.

    Examples
    --------
    >>> command_of("lwm2m-lab device --server {server}")[1:]
    ['-m', 'lwm2m_lab', 'device', '--server', '{server}']
    """
    try:
        parts = shlex.split(start) if isinstance(start, str) else [str(part) for part in start]
    except ValueError as error:
        raise BadInput(f"start is {start!r} ({error}); a command as in a shell is expected") from None
    if not any(PLACE in part for part in parts):
        raise BadInput(f"start is {start!r}; a command with {PLACE} where the URI of the server goes is expected")
    return [sys.executable, "-m", "lwm2m_lab", *parts[1:]] if parts[0] == "lwm2m-lab" else parts


@contextlib.contextmanager
def started(command: Sequence[str], server: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process and end it at the end of the block; what it writes is not looked at.

    Raises
    ------
    BadInput
        Where it cannot be started.
    """
    parts = [part.replace(PLACE, server) for part in command]
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(parts, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError as error:
        raise BadInput(
            f"{parts[0]} cannot be started ({error.strerror}); a program of this machine is expected"
        ) from None
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(LEAVE_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
