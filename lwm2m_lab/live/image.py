"""Firmware images in MCUboot's format, made and verified with imgtool.

The version in the header is what the device shows in ``/5/0/7`` and, once installed, in ``/3/0/3``; the SHA-256 in the
trailer is what a damaged image fails.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pathlib
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.anatomy import Part
from lwm2m_lab.wire.image import read_image
from lwm2m_lab.wire.image_layout import HASHES, image_layout
from lwm2m_lab.wire.image_parts import ImageCheck, check_image, image_parts

__all__ = ["FirmwareImage", "ImageSource", "check_key", "image", "image_from", "public_key"]

#: MCUboot's header takes 32 bytes, and imgtool pads the vectors behind it for no architecture of ours.
HEADER_SIZE = 32
#: Above 16 MiB a lesson would be waiting, not learning; block numbers end at 1 GiB anyway (RFC 7959, 2.2).
LARGEST = 16 * 2**20


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """A firmware image: its bytes and the version in its header.

    Attributes
    ----------
    data : bytes
        The whole file: header, firmware, trailer.
    version : str
        What the header says, such as ``"2.1.0"`` or ``"2.1.0+7"``.
    """

    data: bytes
    version: str

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the whole file, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    def damaged(self, *, offset: int | None = None) -> FirmwareImage:
        """The same image with one bit turned, by default in the middle: its hash no longer matches.

        Raises
        ------
        BadInput
            For an offset beyond the image.

        Examples
        --------
        >>> image(version="2.1.0", size=1000).damaged().verify()
        'INVALID_HASH'
        """
        at = self.size // 2 if offset is None else offset
        if not 0 <= at < self.size:
            raise BadInput(f"offset {at} lies outside the image; 0 to {self.size - 1} are expected")
        return self._with(self.data[:at] + bytes([self.data[at] ^ 1]) + self.data[at + 1 :])

    def rehashed(self) -> FirmwareImage:
        """The same image with the hash that its bytes have now: anybody can store it who knows the format.

        Examples
        --------
        >>> image(version="2.1.0", size=1000).damaged().rehashed().verify()
        'OK'
        """
        data, layout = bytearray(self.data), image_layout(self.data)
        for kind, at, value in layout.tlvs:
            name = HASHES.get(kind)
            digest = hashlib.new(name, data[: layout.trailer]).digest() if name else b""
            if len(digest) == len(value):
                data[at : at + len(digest)] = digest
        return self._with(bytes(data))

    def _with(self, data: bytes) -> FirmwareImage:
        """Other bytes; the version is what their header says, where they have one."""
        info = read_image(data)
        return FirmwareImage(data, info.version if info else self.version)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Header, firmware and trailer, field by field."""
        return image_parts(self.data)

    def checks(self, *, key: bytes | None = None) -> tuple[ImageCheck, ...]:
        """What a boot loader looks at: magic, lengths, hash, and with a public key the signature.

        Parameters
        ----------
        key : bytes, optional
            In PEM, of an Ed25519 key.

        Examples
        --------
        >>> print(*image(version="2.1.0", size=1000).damaged().checks(), sep=chr(10))
        magic      ok     an MCUboot image
        lengths    ok     header, firmware and TLVs lie where the header says
        hash       FAILS  of the first 960 bytes, and another one is stored
        signature  -      there is none
        """
        return check_image(self.data, key=key)

    def verify(self, *, key: bytes | None = None) -> str:
        """What imgtool says of the image: ``'OK'``, ``'INVALID_HASH'``, ``'INVALID_MAGIC'`` ...

        Parameters
        ----------
        key : bytes, optional
            A public key in PEM; with it the signature has to match too: ``'INVALID_SIGNATURE'``, ``'KEY_MISMATCH'``.

        Raises
        ------
        BadInput
            For a key that imgtool does not know.

        Examples
        --------
        >>> image(version="2.1.0", size=1000).verify()
        'OK'
        """
        import struct

        from imgtool.image import Image

        with _as_file(self.data) as path:
            try:
                result: Any = Image.verify(path, None if key is None else _loaded(key))[0]
            except struct.error:
                # imgtool unpacks without looking at the length first.
                return "TRUNCATED"
            except (TypeError, ValueError, LookupError):
                # It takes for granted that a digest stands before the signature, and stumbles where none does.
                return "INVALID_SIGNATURE"
        return str(result.name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bytes beside `path` and move them into place."""
        target = pathlib.Path(path)
        beside = target.with_name(target.name + ".part")
        try:
            beside.write_bytes(self.data)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def __str__(self) -> str:
        lines = [f"{self.version}, {self.size} bytes"]
        for part in self.parts:
            raw = self.data[part.start : part.stop]
            written = raw[:8].hex(" ") + (" …" if len(raw) > 8 else "")
            lines.append(f"{part.start:>8}  {written:<26} {part.name}: {part.says}")
        return "\n".join([*lines, *map(str, self.checks())])

    def __repr__(self) -> str:
        return f"FirmwareImage(version={self.version!r}, size={self.size}, sha256={self.sha256[:12]}…)"


#: What is taken for an image.
ImageSource = FirmwareImage | bytes | str | os.PathLike[str]


def image(*, version: str = "2.0.0", size: int = 20_000, seed: int = 0, signed: bool = False) -> FirmwareImage:
    """Make a firmware image with imgtool.

    Parameters
    ----------
    version : str
        ``major.minor.revision``, and ``+build`` if wanted; a header has room for numbers only.
    size : int
        Bytes of the whole file.
    seed : int
        Of the firmware's bytes, and of the key where the image is signed.
    signed : bool
        Add an Ed25519 signature, which is the same each time.

    Raises
    ------
    BadInput
        For a version that no header can hold, or a size too small for header and trailer or above 16 MiB.

    Examples
    --------
    >>> image(version="2.1.0", size=40_000)
    FirmwareImage(version='2.1.0', size=40000, sha256=...)
    """
    if not isinstance(size, int) or isinstance(size, bool):
        raise BadInput(f"size of the image is {size!r}; a number of bytes is expected")
    least = HEADER_SIZE + _trailer_size(signed) + 1
    if not least <= size <= LARGEST:
        raise BadInput(f"size of the image is {size} bytes; {least} to {LARGEST} bytes (16 MiB) are expected")
    return _make(_parse_version(version), size, seed, signed)


def image_from(source: ImageSource) -> FirmwareImage:
    """An image taken as it is, from bytes, or read from a file.

    Raises
    ------
    BadInput
        For a file that cannot be read, or one without a byte.
    """
    if isinstance(source, FirmwareImage):
        return source
    if isinstance(source, bytes):
        data = source
    elif not isinstance(source, str | os.PathLike):
        raise BadInput(f"image is {source!r}; a firmware image, its bytes or the path of a file is expected")
    else:
        try:
            data = pathlib.Path(source).read_bytes()
        except OSError as error:
            raise BadInput(
                f"{source} cannot be read ({error.strerror}); the path of a firmware image is expected"
            ) from None
    if not data:
        raise BadInput("the image is empty; at least one byte is expected")
    info = read_image(data)
    return FirmwareImage(data, info.version if info else "unknown")


def _parse_version(text: str) -> tuple[int, int, int, int]:
    """The numbers of a version, as imgtool reads them."""
    from imgtool.version import decode_version

    try:
        major, minor, revision, build = decode_version(text)
    except (ValueError, TypeError):
        raise BadInput(
            f"version of the image is {text!r}; three numbers as in '2.1.0' or '2.1.0+7' are expected"
        ) from None
    if major > 0xFF or minor > 0xFF or revision > 0xFFFF or build > 0xFFFFFFFF:
        raise BadInput(f"version of the image is {text!r}; at most 255.255.65535+4294967295 fits an MCUboot header")
    return major, minor, revision, build


@functools.lru_cache(maxsize=32)
def _make(version: tuple[int, int, int, int], size: int, seed: int, signed: bool) -> FirmwareImage:
    """The image; a sweep asks for the same one again and again."""
    firmware = random.Random(f"{version} {size} {seed}").randbytes(size - HEADER_SIZE - _trailer_size(signed))
    data = _wrap(firmware, version, _key(seed) if signed else None)
    major, minor, revision, build = version
    text = f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")
    made = FirmwareImage(data, text)
    assert made.size == size
    return made


@functools.lru_cache(maxsize=2)
def _trailer_size(signed: bool) -> int:
    """Bytes that imgtool adds behind the firmware; asked of imgtool, since its trailer has grown before."""
    firmware = bytes(64)
    return len(_wrap(firmware, (1, 0, 0, 0), _key(0) if signed else None)) - HEADER_SIZE - len(firmware)


def _wrap(firmware: bytes, version: tuple[int, int, int, int], key: Any) -> bytes:
    """Header, firmware and trailer, by imgtool, which works on files only."""
    from imgtool.image import Image
    from imgtool.version import SemiSemVersion

    made = Image(version=SemiSemVersion(*version), header_size=HEADER_SIZE, pad_header=True, slot_size=2 * LARGEST)
    with _as_file(firmware) as path, contextlib.redirect_stdout(io.StringIO()):
        made.load(path)
        made.create(key, "hash", None)
        made.save(path)
        return pathlib.Path(path).read_bytes()


def public_key(seed: int) -> bytes:
    """The public key, in PEM, of an image signed with this seed.

    Examples
    --------
    >>> image(seed=3, signed=True).verify(key=public_key(3)), image(seed=3, signed=True).verify(key=public_key(4))
    ('OK', 'INVALID_SIGNATURE')
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = _key(seed).key.public_key()
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def check_key(key: bytes) -> None:
    """Whether a key is one that signatures can be verified with.

    Raises
    ------
    BadInput
        For one that imgtool does not know.
    """
    _loaded(key)


def _loaded(key: bytes) -> Any:
    """A key as imgtool has it."""
    from imgtool import keys

    with _as_file(key) as path:
        try:
            return keys.load(path)
        except Exception as error:  # imgtool raises the bare class for what it does not know
            raise BadInput(f"the key is none that imgtool knows ({error}); a public key in PEM is expected") from None


def _key(seed: int) -> Any:
    """An Ed25519 key that follows from the seed: ECDSA and RSA signatures differ each time."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from imgtool.keys.ed25519 import Ed25519

    return Ed25519(Ed25519PrivateKey.from_private_bytes(random.Random(seed).randbytes(32)))


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A file with these bytes, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "image.bin"
        path.write_bytes(data)
        yield str(path)
