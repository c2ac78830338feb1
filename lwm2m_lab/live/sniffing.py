"""A capture of an interface by dumpcap, which ends by itself at a limit or with us."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence

from lwm2m_lab.errors import BadInput

__all__ = ["sniff"]


def sniff(
    interface: str,
    path: str | os.PathLike[str],
    *,
    ports: Sequence[int] = (5683, 5684),
    seconds: int = 600,
    packets: int = 1_000_000,
    megabytes: int = 100,
) -> int:
    """Capture what passes an interface on some ports; the first limit that is reached ends it, and so does Ctrl-C.

    The tool writes the file itself and has the limits itself: a kill of this process leaves a readable file.

    Parameters
    ----------
    interface : str
        As in `ip link`, or ``any``.
    path : path
        Written over. As pcapng.
    ports : sequence of int
    seconds, packets, megabytes : int
        The limits, each at least 1.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    BadInput
        For limits, ports and interfaces that are none, without a tool or permission, for a file that cannot be written.

    Examples
    --------
    >>> sniff("no-such-interface", "out.pcapng")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: there is no interface 'no-such-interface'; ...
    """
    _check(interface, ports, {"seconds": seconds, "packets": packets, "megabytes": megabytes})
    file = pathlib.Path(path).absolute()
    if not file.parent.is_dir() or file.is_dir():
        raise BadInput(f"{str(path)!r} cannot be written; a file in a folder that exists is expected")
    heard = " or ".join(f"port {port}" for port in ports)
    _run(_command(interface, str(file), heard, (seconds, packets, megabytes)), interface)
    return file.stat().st_size


def _check(interface: str, ports: Sequence[int], limits: dict[str, int]) -> None:
    for name, value in limits.items():
        if value < 1:
            raise BadInput(f"{name} is {value}; at least 1 is expected")
    if not ports or not all(0 < port < 65536 for port in ports):
        raise BadInput(f"the ports are {list(ports)}; one or more from 1 to 65535 are expected")
    names = [name for _, name in socket.if_nameindex()] + ["any"]
    if interface not in names:
        raise BadInput(f"there is no interface {interface!r}; one of {', '.join(names)} is expected")


def _command(interface: str, file: str, heard: str, limits: tuple[int, int, int]) -> list[str]:
    seconds, packets, megabytes = limits
    # A kill -9 of ours ends the tool as well, with a signal at which it closes its file.
    tied = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    if shutil.which("dumpcap"):
        ends = ["-a", f"duration:{seconds}", "-a", f"filesize:{megabytes * 1000}", "-c", str(packets)]
        return [*tied, "dumpcap", "-q", "-i", interface, "-f", heard, *ends, "-w", file]
    raise BadInput("dumpcap is not installed; Wireshark's dumpcap on the PATH is expected")


def _run(command: list[str], interface: str) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        # A session of its own: Ctrl-C reaches the tool through us alone, once.
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        ) as tool:
            try:
                tool.wait()
            except KeyboardInterrupt:
                tool.send_signal(signal.SIGINT)
                tool.wait()
        said.seek(0)
        lines = [line.strip() for line in said if line.strip() and not line.startswith("Capturing on")]
    if tool.returncode:
        why = lines[0] if lines else f"it ended with status {tool.returncode}"
        raise BadInput(
            f"dumpcap cannot capture on {interface}: {why}; a user who may capture and room on the disk are expected"
        )
