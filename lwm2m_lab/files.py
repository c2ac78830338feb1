"""Files written so that nobody finds half of one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TextIO

from lwm2m_lab.errors import BadInput

__all__ = ["check_folder", "held", "moved_into_place", "text_beside", "write_beside"]


def check_folder(path: str | os.PathLike[str]) -> None:
    """Say before long work that its result could not be written.

    Raises
    ------
    BadInput
        Where the folder of `path` does not exist.

    Examples
    --------
    >>> check_folder("no/such/folder/x.csv")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: no/such/folder/x.csv cannot be written: its folder does not exist; a path in an ...
    """
    if not pathlib.Path(path).absolute().parent.is_dir():
        raise BadInput(f"{path} cannot be written: its folder does not exist; a path in an existing folder is expected")


def write_beside(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666) -> None:
    """Write a file beside its place and move it there.

    Parameters
    ----------
    mode : int
        Its permissions, less what the user's mask takes away: 0o600 for what nobody else may read.

    Raises
    ------
    BadInput
        Where it cannot be written.
    """
    with moved_into_place(path) as beside:
        beside.unlink(missing_ok=True)
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
            out.write(data)


@contextlib.contextmanager
def text_beside(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A text file to write to, moved to its place at the end; after an error nothing is left.

    Raises
    ------
    BadInput
        Where it cannot be written.
    """
    with moved_into_place(path) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        yield out


@contextlib.contextmanager
def moved_into_place(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A path to write to, moved to its place at the end; after an error nothing is left.

    Raises
    ------
    BadInput
        Where it cannot be written.
    """
    target = pathlib.Path(path)
    beside = target.with_name(target.name + ".part")
    try:
        yield beside
        beside.replace(target)
    except OSError as error:
        raise BadInput(
            f"{target} cannot be written ({error.strerror}); a path in an existing folder is expected"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def held(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keep a file to oneself: a second one who asks is refused, in this process or another.

    The system lets go of it when the process ends, however it ends.

    Parameters
    ----------
    what : str
        Who holds it, for the sentence: ``"another sweep"``.

    Raises
    ------
    BadInput
        Where somebody else holds it.
    """
    beside = pathlib.Path(f"{path}.lock")
    while True:
        try:
            file = beside.open("w")
        except OSError as error:
            raise BadInput(f"{path} cannot be written ({error.strerror}); a place of yours is expected") from None
        if not _lock(file):
            file.close()
            raise BadInput(f"{path} is in use by {what}; wait for its end, or name another file")
        # Whoever held it last may have removed the file between our opening and our locking.
        if beside.exists() and beside.stat().st_ino == os.fstat(file.fileno()).st_ino:
            break
        file.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
        file.close()


def _lock(file: TextIO) -> bool:
    """Lock an open file; False where somebody else has."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
