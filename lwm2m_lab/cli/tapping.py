"""What a device or a server of the command line leaves behind: its capture, and the keys that open it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, write_beside

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["add_session_keys", "check_outputs", "write_outputs"]


def add_session_keys(command: argparse.ArgumentParser) -> None:
    """The option for the keys of sessions and connections, never for a key of a device."""
    what = "keep the keys of its DTLS sessions and HTTPS connections: in the capture, or in a key log of mode 600"
    command.add_argument("--session-keys", nargs="?", const=True, default=False, metavar="FILE", help=what)


def check_outputs(options: argparse.Namespace) -> None:
    """Say before the work what could not be written after it.

    Raises
    ------
    BadInput
        For a folder that does not exist, or keys without a capture that they could be put into.
    """
    if options.session_keys is True and not options.pcap:
        raise BadInput(
            "the session keys have no capture to be put into; --pcap OUT, or --session-keys FILE, is expected"
        )
    for path in (options.pcap, options.session_keys):
        if isinstance(path, str) and path:
            check_folder(path)


def write_outputs(options: argparse.Namespace, capture: Callable[[], Capture]) -> None:
    """Write what was asked for, at the end."""
    if not options.pcap and not options.session_keys:
        return
    seen = capture()
    if options.pcap:
        seen.save(options.pcap, session_keys=options.session_keys is True)
    if isinstance(options.session_keys, str):
        log = "".join(f"{line}\n" for line in seen.columns.key_log)
        write_beside(options.session_keys, log.encode(), mode=0o600)
