"""A folder of firmware images as a mapping of paths to bytes, read when they are asked for."""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Iterator, Mapping

from lwm2m_lab.errors import BadInput

__all__ = ["ImageFolder"]

#: Bytes of the largest file that is served: RFC 7959 has 2^20 blocks of 1024 bytes, and no device takes nearly so much.
LARGEST = 256 * 2**20


class ImageFolder(Mapping[str, bytes]):
    """The files of a folder, each under ``/fw/NAME``; what lies in a folder beneath it, or elsewhere, is not served.

    Parameters
    ----------
    folder : path

    Raises
    ------
    BadInput
        Where it is no folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder)
        if not self.folder.is_dir():
            raise BadInput(f"{folder} is no folder; a folder of firmware images is expected")
        self._kept: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._lock = threading.Lock()

    def __getitem__(self, path: str) -> bytes:
        prefix, name = path[:4], path[4:]
        if prefix != "/fw/" or not name or "/" in name or "\0" in name or name.startswith("."):
            raise KeyError(path)
        try:
            return self._read(self.folder / name)
        except (OSError, ValueError):
            raise KeyError(path) from None

    def _read(self, file: pathlib.Path) -> bytes:
        """A file, read anew where it has changed; a link leads out of the folder and is none."""
        status = file.lstat()
        if not file.is_file() or file.is_symlink() or status.st_size > LARGEST:
            raise ValueError(file.name)
        state = status.st_mtime_ns, status.st_size
        with self._lock:
            if file.name not in self._kept or self._kept[file.name][0] != state:
                self._kept[file.name] = state, file.read_bytes()
            return self._kept[file.name][1]

    def __iter__(self) -> Iterator[str]:
        names = sorted(one.name for one in self.folder.iterdir() if one.is_file() and not one.is_symlink())
        return (f"/fw/{name}" for name in names if not name.startswith("."))

    def __len__(self) -> int:
        return sum(1 for _ in self)
