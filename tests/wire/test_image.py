"""Images of imgtool's making, read without imgtool; and damage in each part of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.live.image import FirmwareImage, image
from lwm2m_lab.wire.image import read_image


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("version", ["0.0.0", "2.1.0", "255.255.65535+4294967295", "1.2.3+7"])
def test_version_and_hash(version: str, signed: bool) -> None:
    """What the header says, and a hash that matches."""
    made = image(version=version, size=3000, signed=signed)
    info = read_image(made.data)
    assert info is not None
    assert (info.version, info.hash_valid, info.signed) == (version, True, signed)
    assert (info.total_size, info.sha256, made.verify()) == (3000, made.sha256, "OK")


@given(st.integers(0, 1999), st.integers(0, 7))
def test_a_turned_bit_is_found_wherever_imgtool_finds_it(offset: int, bit: int) -> None:
    """No bit of header, firmware and hash can turn unnoticed, and imgtool agrees.

    But for the lengths of the TLV area and of the hash: where one reaches past the end of the file imgtool compares
    what is there.
    """
    made = image(version="2.1.0", size=2000)
    data = bytearray(made.data)
    data[offset] ^= 1 << bit
    info = read_image(bytes(data))
    sound = info is not None and info.hash_valid is True
    try:
        theirs = FirmwareImage(bytes(data), "2.1.0").verify() == "OK"
    except Exception as error:  # imgtool's own checks raise whatever comes first on a broken header
        assert not sound, error
        return
    lengths = (1962, 1963, 1966, 1967)
    assert sound == theirs or (offset in lengths and theirs)


@given(st.integers(0, 1999))
def test_a_cut_image_is_never_sound(length: int) -> None:
    """However short, it is no image or one whose hash does not match."""
    info = read_image(image(version="2.1.0", size=2000).data[:length])
    assert info is None or info.hash_valid is False


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Something else than an image is None, also with the magic in front."""
    read_image(b"\x3d\xb8\xf3\x96" + data)
    if data[:4] != b"\x3d\xb8\xf3\x96":
        assert read_image(data) is None


def test_trailing_bytes_do_not_hide_the_trailer() -> None:
    """A slot read out whole has padding behind the image."""
    info = read_image(image(version="2.1.0", size=2000).data + b"\xff" * 500)
    assert info is not None
    assert info.hash_valid is True
