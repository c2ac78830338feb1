"""Where lessons are put, and how JupyterLab is called."""

from __future__ import annotations

import pathlib

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.lessons import command_for, lesson_source, place_lessons


def test_a_copy_keeps_the_learners_answers(tmp_path: pathlib.Path) -> None:
    """Every lesson is copied; one that was worked on stays as it is."""
    place = place_lessons(tmp_path / "mine")
    names = {path.relative_to(place) for path in place.rglob("*.ipynb")}
    assert names == {path.relative_to(lesson_source()) for path in lesson_source().rglob("*.ipynb")}
    (place / "00-index.ipynb").write_text("my answers", encoding="utf-8")
    assert place_lessons(tmp_path / "mine") == place
    assert (place / "00-index.ipynb").read_text(encoding="utf-8") == "my answers"


def test_the_checkouts_own_folder_is_used_as_it_is() -> None:
    """`make lab` works on the lessons themselves."""
    assert place_lessons(lesson_source()) == lesson_source()


def test_a_place_that_is_a_file(tmp_path: pathlib.Path) -> None:
    """Refused in a sentence."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(BadInput, match="a folder of yours is expected"):
        place_lessons(tmp_path / "file")


def test_with_and_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root is allowed; without a display, or when asked, no browser is opened."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("DISPLAY", ":0")
    seen = command_for(pathlib.Path("x"), browser=True)
    assert "--allow-root" in seen
    assert "--no-browser" not in seen
    assert "--no-browser" in command_for(pathlib.Path("x"), browser=False)
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    hidden = command_for(pathlib.Path("x"), browser=True)
    assert "--no-browser" in hidden
    assert "--allow-root" not in hidden
