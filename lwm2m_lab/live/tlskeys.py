"""The keys of TLS connections, for whoever wants to read an own capture of HTTPS."""

from __future__ import annotations

import os
import ssl
import tempfile
import weakref

__all__ = ["TlsKeys"]


class TlsKeys:
    """What opens the TLS connections of some contexts, in the format of a key log.

    OpenSSL writes it to a file and to nothing else. The file has no name in any folder, so that no end of the process
    leaves a key behind, and goes with this object.

    Examples
    --------
    >>> keys = TlsKeys()
    >>> keys.of(ssl.create_default_context())
    >>> keys.lines()
    ()
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)

    def of(self, context: ssl.SSLContext) -> None:
        """Keep the keys of every connection that this context makes from now on."""
        context.keylog_filename = f"/dev/fd/{self._file}"

    def lines(self) -> tuple[str, ...]:
        """``CLIENT_TRAFFIC_SECRET_0 <client random> <secret>`` and its like, without OpenSSL's remark at the top."""
        text = os.pread(self._file, os.fstat(self._file).st_size, 0).decode("ascii")
        return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
