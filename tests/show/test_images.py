"""The image explorer, used as a reader uses it."""

from __future__ import annotations

import html
import pathlib
import re

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import public_key
from lwm2m_lab.show.images import ImageExplorer


def marks(explorer: ImageExplorer) -> dict[str, str]:
    """The checks on the panel with their marks."""
    found = re.findall(r"<li style[^>]*><b>(.)</b> <b>([^<]*)</b>", explorer.checks.value)
    return {name: mark for mark, name in found}


@pytest.fixture
def explorer() -> ImageExplorer:
    """A signed image before a boot loader that has the key."""
    return lab.show.image_explorer(
        lab.image(version="2.1.0", size=2000, signed=True, seed=3), key=public_key(3)
    )  # fmt: skip


def test_a_sound_image(explorer: ImageExplorer) -> None:
    """Everything is looked at and good."""
    assert marks(explorer) == dict.fromkeys(["magic", "lengths", "hash", "key", "signature"], "✓")
    assert "A boot loader starts it." in explorer.checks.value
    assert "the image is as it was made" in explorer.status.value


def test_a_flip_a_new_hash_and_back(explorer: ImageExplorer) -> None:
    """The hash fails, then the signature alone, then nothing."""
    explorer.field.value = 32
    assert explorer.cursor.value == 32
    explorer.buttons["flip"].click()
    assert (marks(explorer)["hash"], marks(explorer)["signature"]) == ("✗", "✗")
    assert "1 of 2000 bytes changed" in explorer.status.value
    assert "(1 byte changed)" in explorer.parts.value
    explorer.buttons["new hash"].click()
    assert (marks(explorer)["hash"], marks(explorer)["signature"]) == ("✓", "✗")
    assert "A boot loader refuses it: signature." in explorer.checks.value
    explorer.buttons["make whole"].click()
    assert "✗" not in explorer.checks.value


def test_the_byte_under_the_cursor_is_marked(explorer: ImageExplorer) -> None:
    """Its field is the marked row, and the byte says what it was."""
    for at in (0, 21, 500, 1999):
        explorer.cursor.value = at
        row = re.search(r'<tr aria-current="true".*?</tr>', explorer.parts.value)
        assert row is not None
        start = int(re.search(r">(\d+)</td>", row.group())[1])  # type: ignore[index]
        part = next(one for one in explorer.image.parts if one.start == start)
        assert part.start <= at < part.stop
    explorer.flip(21)
    explorer.flip(21)
    assert "was <code>" not in explorer.status.value


def test_every_byte_of_header_hash_and_signature_counts(explorer: ImageExplorer) -> None:
    """Whatever the header then says, the panel shows it, and the boot loader refuses."""
    values = [one for one in explorer.image.parts if one.name in ("SHA-256", "key hash", "Ed25519 signature")]
    for at in [*range(0, 32, 3), *(at for one in values for at in range(one.start, one.stop, 17))]:
        explorer.flip(at)
        assert "A boot loader refuses it" in explorer.checks.value, at
        explorer.press("make whole")


def test_controls_are_labelled(explorer: ImageExplorer) -> None:
    """Each says what it does."""
    assert all(button.description and button.tooltip for button in explorer.buttons.values())
    assert (explorer.field.description, explorer.cursor.description) == ("field", "byte")


def test_a_file_and_what_is_no_image(tmp_path: pathlib.Path) -> None:
    """By its path; other bytes, an empty file and one that is not there are refused."""
    lab.image(version="1.2.3", size=1000).save(tmp_path / "image.bin")
    assert "version 1.2.3" in html.unescape(lab.show.image_explorer(tmp_path / "image.bin").parts.value)
    with pytest.raises(BadInput, match="do not begin with MCUboot's header"):
        lab.show.image_explorer(b"#!/bin/sh\nexit 0\n" * 9)
    with pytest.raises(BadInput, match="at least one byte is expected"):
        lab.show.image_explorer(b"")
    with pytest.raises(BadInput, match="cannot be read"):
        lab.show.image_explorer(tmp_path / "gone.bin")
    with pytest.raises(BadInput, match="0 to 999 are expected"):
        lab.show.image_explorer(tmp_path / "image.bin").flip(1000)
