"""The bytes of a capture as they come: from a file that grows, or out of a pipe."""

from __future__ import annotations

import os
import pathlib
import select
import threading
from typing import IO, Protocol

from lwm2m_lab.errors import BadInput

__all__ = ["FileTail", "PipeTail", "Tail"]

#: Bytes that are taken at once.
PIECE = 1 << 20
#: What stands first in a file, by which another file in its place is known.
_HEAD = 24
_PACKED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4",
    b"PK": "zip",
}  # fmt: skip


class Tail(Protocol):
    """Where bytes come from.

    Attributes
    ----------
    name : str
    size : int
        Bytes taken so far.
    ended : str
        Why nothing more can come; empty while something may.
    is_another : bool
        Whether what is there is no longer what was followed.
    """

    name: str
    size: int
    ended: str
    is_another: bool

    def more(self) -> bytes:
        """What has come and was not taken yet, a piece at the most; empty where that is nothing."""
        ...

    def wait(self, seconds: float) -> None:
        """Until something has come, or so long at the most."""
        ...

    def stop(self) -> None:
        """End a wait, and the next ones at once."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FileTail:
    """A file that grows.

    Its writer may have written half a packet. One that is cut, replaced, removed or begun anew is no longer the
    capture that was followed: `more` says so once what was there is taken.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name, self.size, self.ended = str(path), 0, ""
        self.is_another = False
        self._path, self._head, self._stopped = path, b"", threading.Event()
        try:
            # A pipe by name would wait here for its writer.
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            head = os.read(self._fd, _HEAD)
            os.lseek(self._fd, 0, os.SEEK_SET)
        except OSError as error:
            raise BadInput(
                f"{self.name} cannot be followed ({error.strerror}); a pcap or pcapng file is expected"
            ) from None
        check_plain(head, self.name)

    def more(self) -> bytes:
        piece = os.read(self._fd, PIECE)
        if len(self._head) < _HEAD:
            self._head += piece[: _HEAD - len(self._head)]
        if not piece or self._is_another_head():
            self._look()
            self.is_another = bool(self.ended)
            piece = b"" if self.ended else piece
        self.size += len(piece)
        return piece

    def _is_another_head(self) -> bool:
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        os.lseek(self._fd, 0, os.SEEK_SET)
        head = os.read(self._fd, len(self._head))
        os.lseek(self._fd, here, os.SEEK_SET)
        return head != self._head

    def _look(self) -> None:
        """Whether the file is still the one that was opened, and holds what was taken from it."""
        here = os.fstat(self._fd)
        try:
            there = pathlib.Path(self._path).stat()
        except OSError:
            self.ended = "was removed"
            return
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            self.ended = "was replaced by another file"
        elif here.st_size < self.size:
            self.ended = f"was cut to {here.st_size} bytes, of which {self.size} had been read"
        elif self._is_another_head():
            self.ended = "was begun anew"

    def wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PipeTail:
    """A pipe, as standard input: its end is the end of the capture."""

    def __init__(self, stream: IO[bytes], name: str = "-") -> None:
        self.name, self.size, self.ended = name, 0, ""
        self._stream, self.is_another = stream, False

    def more(self) -> bytes:
        if self.ended or not select.select([self._stream], [], [], 0)[0]:
            return b""
        piece = os.read(self._stream.fileno(), PIECE)
        if not self.size:
            check_plain(piece, self.name)
        self.size += len(piece)
        if not piece:
            self.ended = "the end of the stream"
        return piece

    def wait(self, seconds: float) -> None:
        select.select([self._stream], [], [], seconds)

    def stop(self) -> None:
        """A wait ends by itself."""

    def close(self) -> None:
        """Its owner closes it."""


def check_plain(head: bytes, name: str) -> None:
    """Refuse what is compressed: it has no end that could be read before its writer has come to it.

    Raises
    ------
    BadInput
    """
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            raise BadInput(
                f"{name} is compressed ({kind}); a plain pcap or pcapng is expected, for what grows cannot be unpacked"
            )
