"""Images taken apart: every byte is named once, and what is looked at agrees with imgtool."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.live.image import FirmwareImage, image, public_key
from lwm2m_lab.wire.anatomy import Part
from lwm2m_lab.wire.image_parts import check_image, image_parts

SIGNED = image(version="2.1.0+7", size=2000, signed=True, seed=3)
KEY = public_key(3)


def check_cover(data: bytes, parts: tuple[Part, ...]) -> None:
    """Each byte in one part, in order."""
    assert [one.start for one in parts] == [0, *(one.stop for one in parts)][: len(parts)]
    assert (parts[-1].stop if parts else 0) == len(data)


def failed(data: bytes, key: bytes | None = KEY) -> list[str]:
    """The checks that fail."""
    return [one.name for one in check_image(data, key=key) if one.passed is False]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_covered_once(data: bytes, is_image: bool) -> None:
    """Also behind a magic that promises an image."""
    data = b"\x3d\xb8\xf3\x96" + data if is_image else data
    check_cover(data, image_parts(data))
    assert all(one.says.isprintable() for one in image_parts(data))
    assert all(one.says for one in check_image(data, key=KEY))


@given(st.integers(0, 1999), st.integers(0, 255), st.integers(0, 2000))
def test_a_damaged_image_is_covered_once(offset: int, value: int, length: int) -> None:
    """A byte changed, and the rest cut off somewhere."""
    data = bytearray(SIGNED.data)
    data[offset] = value
    cut = bytes(data[:length])
    check_cover(cut, image_parts(cut))
    check_image(cut, key=KEY)


@pytest.mark.parametrize(
    ("name", "fails"),
    [
        ("magic", ["magic"]),
        ("header size", ["lengths"]),
        ("image size", ["lengths"]),
        ("version, major", ["hash", "signature"]),
        ("padding", ["hash", "signature"]),
        ("firmware", ["hash", "signature"]),
        ("TLV area", ["lengths"]),
        ("SHA-256", ["hash"]),
        ("key hash", ["key"]),
        ("Ed25519 signature", ["signature"]),
    ],
)
def test_a_turned_bit_fails_what_covers_it(name: str, fails: list[str]) -> None:
    """Header and firmware are under the hash, and the signature is over the hash of what is there."""
    part = next(one for one in SIGNED.parts if one.name == name)
    assert failed(SIGNED.damaged(offset=part.start).data) == fails


@given(st.integers(0, 1999), st.integers(0, 7))
def test_what_imgtool_accepts_is_accepted_here(offset: int, bit: int) -> None:
    """With the key; but for the hash of the key, at which imgtool does not look, and lengths that it does not check."""
    data = bytearray(SIGNED.data)
    data[offset] ^= 1 << bit
    mine = failed(bytes(data))
    try:
        theirs = FirmwareImage(bytes(data), "2.1.0").verify(key=KEY) == "OK"
    except Exception as error:  # imgtool's own checks raise whatever comes first on a broken header
        assert mine, error
        return
    assert theirs or mine
    assert not theirs or set(mine) <= {"key", "lengths"}


def test_keys() -> None:
    """The right one, another one, none, one that is no key; and an image without a signature."""
    assert [(one.name, one.passed) for one in check_image(SIGNED.data, key=KEY)][2:] == [
        ("hash", True), ("key", True), ("signature", True),
    ]  # fmt: skip
    assert failed(SIGNED.data, public_key(4)) == ["key", "signature"]
    assert failed(SIGNED.data, None) == []
    assert [one.passed for one in check_image(SIGNED.data, key=b"no key")][3:] == [None]
    plain = image(version="2.1.0", size=2000)
    assert (failed(plain.data, None), failed(plain.data, KEY)) == ([], ["signature"])


def test_protected_entries_and_bytes_behind(tmp_path: pathlib.Path) -> None:
    """A security counter stands in an area of its own, under the hash; what follows the image is not the image's."""
    from imgtool.image import Image
    from imgtool.version import SemiSemVersion

    source, target = tmp_path / "firmware.bin", tmp_path / "image.bin"
    source.write_bytes(bytes(100))
    options: dict[str, Any] = {"header_size": 32, "pad_header": True, "slot_size": 4096, "security_counter": 5}
    made = Image(version=SemiSemVersion(1, 0, 0, 0), **options)
    made.load(str(source))
    made.create(None, "hash", None)
    made.save(str(target))
    data = target.read_bytes() + bytes(10)
    parts = {one.name: one for one in image_parts(data)}
    check_cover(data, image_parts(data))
    assert parts["security counter"].says == "5"
    assert parts["behind the image"].says == "not the image's own"
    assert failed(data, None) == []
    counter = parts["security counter"].start
    assert failed(data[:counter] + b"\x06" + data[counter + 1 :], None) == ["hash"]


def test_a_new_hash_makes_a_forgery() -> None:
    """The hash is good again, the signature is not; a version in the header is the version of the image."""
    forged = SIGNED.damaged(offset=20).rehashed()
    assert (failed(forged.data), failed(forged.data, None)) == (["signature"], [])
    assert forged.version == "3.1.0+7"
    assert forged.verify() == "OK"
    assert SIGNED.rehashed() == SIGNED


def test_an_image_prints_as_one_screen() -> None:
    """Every field with its bytes, then what a boot loader looks at."""
    lines = str(SIGNED).splitlines()
    assert lines[0] == "2.1.0+7, 2000 bytes"
    assert lines[1] == "       0  3d b8 f3 96                magic: MCUboot's"
    assert lines[-2] == "hash       ok     of the first 1856 bytes, as stored"
    assert all(len(line) < 100 for line in lines)
