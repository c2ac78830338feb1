"""Who speaks with whom: a device that moves within a DTLS session stays the same peer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire import Columns

__all__ = ["ends"]

Ints = NDArray[Any]


def ends(columns: Columns) -> tuple[Ints, Ints]:
    """Codes of source and destination of each message, as in the columns `src` and `dst`.

    A session with a Connection ID goes on from other addresses of its client (RFC 9146, 6): all its messages have the
    code of the client's first one here, so that a request and its response find each other.
    """
    if not columns.sessions:
        return columns["src"], columns["dst"]
    src, dst = columns["src"].copy(), columns["dst"].copy()
    rows = np.nonzero(columns.session >= 0)[0]
    code = {text: number for number, text in enumerate(columns.categories["src"])}
    server = np.array([code.get(one.server, -1) for one in columns.sessions], np.int64)
    session = columns.session[rows]
    from_server = src[rows] == server[session]
    client = np.where(from_server, dst[rows], src[rows])
    _, first, inverse = np.unique(session, return_index=True, return_inverse=True)
    home = client[first][inverse]
    src[rows] = np.where(from_server, src[rows], home)
    dst[rows] = np.where(from_server, home, dst[rows])
    return src, dst
