"""Faults of a server and of its repository by name, each a small class that overrides one method of a part of it.

`lwm2m_lab.live.faults` holds those of a device. What each does stands in its docstring; `server_faults_blocks` and
`server_faults_life` hold them.
"""

from __future__ import annotations

from collections.abc import Mapping

from lwm2m_lab.live.faults import Fault, FaultBook

__all__ = ["SERVER_FAULTS", "all_server_faults", "build", "server_fault", "server_fault_named"]

#: What a server, or its repository, can do wrong.
SERVER_FAULTS = FaultBook("server_faults_blocks", "server_faults_life", whose="of a server")
server_fault, build = SERVER_FAULTS.fault, SERVER_FAULTS.build


def all_server_faults() -> Mapping[str, Fault]:
    """Every fault of a server by its name.

    Examples
    --------
    >>> all_server_faults()["executes-early"].rules
    ('F6',)
    """
    return SERVER_FAULTS.all()


def server_fault_named(name: str) -> Fault:
    """One fault of a server.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> server_fault_named("is-late")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: no fault of a server is named 'is-late'; one of always-block-0, ... is expected
    """
    return SERVER_FAULTS.named(name)
