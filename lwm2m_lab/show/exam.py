"""Exams: a different capture for each student, a sheet with questions, and one key for the trainer.

What a student gets says nothing of what happened but the capture: no name, no comment, no packet comment. The key is
what the run's own truth and the analyser say, side by side, since a capture need not show everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder
from lwm2m_lab.live.deals import KINDS, Deal, deal
from lwm2m_lab.show.clinic.judging import LAYERS, MOST_FRAMES, OUTCOMES, PARTIES, VERDICTS
from lwm2m_lab.trace.explain import Explanation, explain

__all__ = ["MOST_STUDENTS", "Exam", "deal_exam", "students_of"]

MOST_STUDENTS = 200
_LONGEST_NAME = 60
CAPTURE, SHEET, NOTEBOOK, KEY, KEY_JSON = "capture.pcapng", "questions.md", "exam.ipynb", "key.md", "key.json"


@dataclass(frozen=True)
class Exam:
    """An exam that was written.

    Attributes
    ----------
    folder : pathlib.Path
    seed : int
    students : tuple of str
        Names of their folders.
    """

    folder: pathlib.Path
    seed: int
    students: tuple[str, ...]

    def __str__(self) -> str:
        count = len(self.students)
        dealt = "1 capture" if count == 1 else f"{count} captures"
        return (
            f"{dealt} in {self.folder}, one folder a student; the key is {self.folder / KEY}, which you alone can "
            "read: hand out the folders, not the key and not the seed"
        )


def students_of(students: int | Sequence[str]) -> tuple[str, ...]:
    """The folders of students, from their number or their names.

    Raises
    ------
    BadInput
        For no student, too many, a name that leaves no folder, or two that share one.

    Examples
    --------
    >>> students_of(3)
    ('student-1', 'student-2', 'student-3')
    >>> students_of(["Ada Lovelace", "Grace"])
    ('ada-lovelace', 'grace')
    """
    count = students if isinstance(students, int) else len(students)
    if isinstance(students, bool) or not 1 <= count <= MOST_STUDENTS:
        raise BadInput(f"{count} students are asked for; 1 to {MOST_STUDENTS} are expected")
    if isinstance(students, int):
        return tuple(f"student-{number:0{len(str(count))}d}" for number in range(1, count + 1))
    folders = [_folder_of(name) for name in students]
    for name, folder in zip(students, folders, strict=True):
        if not folder:
            raise BadInput(f"the student {name!r} leaves no name for a folder; letters or digits are expected")
        if folders.count(folder) > 1:
            raise BadInput(f"two students would share the folder {folder}; names that differ are expected")
    return tuple(folders)


def _folder_of(name: str) -> str:
    """A name as a folder's: letters and digits, whatever else it is made of becomes a dash."""
    plain = "".join(one if one.isalnum() else "-" for one in name.casefold()[:_LONGEST_NAME])
    return "-".join(part for part in plain.split("-") if part)


def deal_exam(
    students: int | Sequence[str],
    folder: str | os.PathLike[str],
    *,
    seed: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Exam:
    """Write an exam: for each student a capture, a sheet and a notebook, and one key.

    Parameters
    ----------
    students : int or sequence of str
        How many, or their names.
    folder : path
        A new folder. Everything is written beside it and moved into place at the end.
    seed : int, optional
        Same seed and students, same exam; who knows the seed can make the key. Without it one is drawn.
    progress : callable
        Told how many captures are made.

    Raises
    ------
    BadInput
        For students that cannot be had, or a folder that is there already or cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> exam = deal_exam(1, pathlib.Path(tempfile.mkdtemp()) / "exam", seed=3)
    >>> sorted(one.name for one in exam.folder.iterdir())
    ['key.json', 'key.md', 'student-1']
    """
    names, place = students_of(students), pathlib.Path(folder)
    if seed is None:
        seed = secrets.randbits(64)
    kinds = list(KINDS)
    random.Random(seed).shuffle(kinds)
    keys = []
    with _new_folder(place) as beside:
        for number, name in enumerate(names):
            # A kind that comes round again has another seed, so another world.
            dealt = deal(kinds[number % len(kinds)], f"{seed}/{number}")
            _write_student(beside / name, name, dealt)
            digest = hashlib.sha256((beside / name / CAPTURE).read_bytes()).hexdigest()
            keys.append({"student": name, "sha256": digest, **_key_of(dealt)})
            progress(number + 1)
        _write_secret(beside / KEY, _key_page(seed, keys))
        _write_secret(beside / KEY_JSON, json.dumps({"seed": seed, "students": keys}, indent=2))
    return Exam(place, seed, names)


@contextmanager
def _new_folder(place: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into, moved to its place at the end; after an error nothing is left."""
    check_folder(place)
    whole = place.absolute()
    beside = whole.with_name(f"{whole.name}.part")
    for one in (place, beside):
        if os.path.lexists(one):
            raise BadInput(f"{one} is there already; the name of a new folder is expected")
    try:
        beside.mkdir()
        yield beside
        beside.rename(whole)
    except OSError as error:
        raise BadInput(f"{place} cannot be made ({error.strerror}); a place of your own is expected") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_secret(path: pathlib.Path, text: str) -> None:
    """A file that is its owner's alone from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


# ---------------------------------------------------------------- what a student gets


def _write_student(folder: pathlib.Path, name: str, dealt: Deal) -> None:
    folder.mkdir()
    dealt.capture.save(folder / CAPTURE)
    sheet = _sheet(name, dealt)
    (folder / SHEET).write_text(sheet, encoding="utf-8")
    (folder / NOTEBOOK).write_text(json.dumps(_notebook(sheet), indent=1) + "\n", encoding="utf-8")


def _sheet(name: str, dealt: Deal) -> str:
    """The sheet: what was planned, and five questions; nothing of what happened."""
    package = dealt.stage.image
    return f"""# A firmware update: what happened? ({name})

The device `{dealt.stage.device.endpoint}` was to be updated by {dealt.run.delivery}. `{CAPTURE}` was taken before the
servers. The release note says of the image: version {package.version}, {package.size} bytes,
SHA-256 `{package.sha256}`.

1. **Layer.** Where does it come from? One of: {", ".join(LAYERS)}.
2. **Frames.** Name at most {MOST_FRAMES} that decide, and say in half a sentence what each of them shows.
3. **Who?** One of: {", ".join(PARTIES)}.
4. **Outcome** of the update, as the capture shows it: {", ".join(OUTCOMES)}.
5. **Verdict** on the device: {", ".join(VERDICTS)}. If undecided: which reading, file or log would decide?
6. What do you advise, in two sentences?

It may be that nothing is wrong. Write your reasons down: a guess that is right is worth less than a doubt that is
founded.
"""


def _notebook(sheet: str) -> dict[str, Any]:
    """The sheet with a first look at the capture, and a place for the answers, in the notebook's format 4.5."""
    cells = [
        _cell("markdown", sheet),
        _cell("code", f'import lwm2m_lab as lab\n\ncapture = lab.read("{CAPTURE}")\ncapture.ladder()'),
        _cell(
            "markdown", "Also: `capture.messages`, `capture.timeline`, `capture.transfers.plot()`, `capture.explore()`."
        ),
        _cell("code", 'answer = (layer, frames, who, outcome, verdict) = ("", [], "", "", "")'),
        _cell("markdown", "**What each frame shows, and what you advise:**"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    numbered = [{"id": f"cell-{number:02d}", **cell} for number, cell in enumerate(cells)]
    return {"cells": numbered, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, source: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True), **empty}


# ---------------------------------------------------------------- what the trainer gets


def _key_of(dealt: Deal) -> dict[str, Any]:
    """The truth of one student's capture, and what the analyser sees of it."""
    explained, last = explain(dealt.capture), dealt.run.truth[-1]
    return {
        "kind": dealt.name,
        "happened": dealt.kind.about,
        "layer": dealt.kind.layer,
        "who": dealt.kind.who,
        "device": {
            "state": str(last.state),
            "result": str(last.result),
            "firmware_that_runs": last.firmware_version,
            "firmware_before": dealt.stage.device.firmware_version,
            "faults": list(dealt.stage.device.faults),
        },
        "image_version": dealt.stage.image.version,
        "server": f"{dealt.run.report.outcome}: {dealt.run.report.sentence}",
        "outcome": explained.updates[0].outcome,
        "verdict": explained.updates[0].verdict,
        "analyser": explained.sentence,
        "findings": _findings(explained),
    }


def _findings(explained: Explanation) -> list[dict[str, Any]]:
    wanted = ("rule", "verdict", "certainty", "party", "sentence", "clause", "frames")
    return [{name: value for name, value in one.to_dict().items() if name in wanted} for one in explained.problems]


def _key_page(seed: int, keys: Sequence[dict[str, Any]]) -> str:
    """The key to be read, a section a student."""
    lines = [
        "# Key",
        "",
        f"Seed {seed}: the same seed and students make the same exam. Keep both this file and the seed to yourself.",
        "Where truth and capture differ, the answer follows the capture: nobody can see more than was seen.",
        "INCONCLUSIVE is what the sheet calls undecided. Other words than those below may be as good.",
        "",
        "| student | what happened | outcome | verdict |",
        "|---|---|---|---|",
        *(f"| {one['student']} | {one['kind']} | {one['outcome']} | {one['verdict']} |" for one in keys),
    ]
    for one in keys:
        device = one["device"]
        lines += [
            "",
            f"## {one['student']}: {one['kind']}",
            "",
            one["happened"],
            "",
            f"- **Layer**: {one['layer']}. **Who**: {one['who']}.",
            f"- **In truth**: State {device['state']}, Update Result {device['result']}; firmware "
            f"{device['firmware_before']} before, {device['firmware_that_runs']} in the end; the image is "
            f"{one['image_version']}.",
            f"- **The server thought**: {one['server']}.",
            f"- **By the capture**: outcome {one['outcome']}, verdict {one['verdict']}.",
            f"- **The analyser**: {one['analyser']}",
        ]
        lines += [
            f"- {found['rule']} {found['verdict']}, {found['certainty']}, {found['party']}: {found['sentence']} "
            f"(frames {', '.join(map(str, found['frames'][:6]))}) [{found['clause']}]"
            for found in one["findings"]
        ]
    return "\n".join(lines) + "\n"
