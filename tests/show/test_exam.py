"""An exam gives each student a capture and no answer, the trainer one key, and nobody half of anything."""

from __future__ import annotations

import json
import pathlib
import stat

import nbformat
import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.deals import KINDS
from lwm2m_lab.show import exam as exams
from lwm2m_lab.show.clinic.judging import LAYERS, PARTIES
from lwm2m_lab.show.exam import MOST_STUDENTS, deal_exam, students_of

NAMES = ["Ada Lovelace", "Grace", "../Alan Turing"]


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> exams.Exam:
    """Three students by name."""
    return deal_exam(NAMES, tmp_path_factory.mktemp("exams") / "exam", seed=11)


def files(folder: pathlib.Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_each_student_has_a_folder(exam: exams.Exam) -> None:
    """With capture, sheet and notebook; nothing lies elsewhere."""
    assert exam.students == ("ada-lovelace", "grace", "alan-turing")
    expected = {f"{name}/{file}" for name in exam.students for file in ("capture.pcapng", "questions.md", "exam.ipynb")}
    assert set(files(exam.folder)) == expected | {"key.md", "key.json"}
    assert [one.name for one in exam.folder.parent.iterdir()] == ["exam"]


def test_the_key_is_the_trainers_alone(exam: exams.Exam) -> None:
    """Mode 600, and it agrees with what the analyser says of the file that was handed out."""
    for name in ("key.md", "key.json"):
        assert stat.S_IMODE((exam.folder / name).stat().st_mode) == 0o600
    key = json.loads((exam.folder / "key.json").read_text())
    assert key["seed"] == 11
    page = (exam.folder / "key.md").read_text()
    for one in key["students"]:
        explained = lab.explain(exam.folder / one["student"] / "capture.pcapng")
        (update,) = explained.updates
        assert (one["outcome"], one["verdict"]) == (update.outcome, update.verdict)
        assert [found["rule"] for found in one["findings"]] == [found.rule for found in explained.problems]
        assert one["layer"] in LAYERS
        assert one["who"] in PARTIES
        assert one["device"]["firmware_that_runs"]
        assert f"## {one['student']}: {one['kind']}" in page
    assert len({one["kind"] for one in key["students"]}) == len(NAMES)


def test_a_student_is_not_told(exam: exams.Exam) -> None:
    """Neither file names, nor comments, nor the sheet say what happened; they say what was planned."""
    key = json.loads((exam.folder / "key.json").read_text())
    for one in key["students"]:
        folder = exam.folder / one["student"]
        handed = b"".join(files(folder).values()).lower()
        secrets = [one["kind"], one["happened"], one["server"], *one["device"]["faults"], "seed", "lost on the way"]
        assert [secret for secret in secrets if secret.lower().encode() in handed] == []
        capture = lab.read(folder / "capture.pcapng")
        assert not capture.comments
        sheet = (folder / "questions.md").read_text()
        assert one["image_version"] in sheet
        assert capture.update(0).endpoint in sheet


def test_the_notebook_is_one(exam: exams.Exam) -> None:
    """Valid, without outputs, and its first look is a picture."""
    notebook = nbformat.read(exam.folder / "grace" / "exam.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code)
    assert "capture.ladder()" in code[0].source


def test_the_same_seed_gives_the_same_exam(exam: exams.Exam, tmp_path: pathlib.Path) -> None:
    """Byte by byte; another seed gives other captures."""
    same = deal_exam(NAMES, tmp_path / "same", seed=11)
    assert files(same.folder) == files(exam.folder)
    other = deal_exam(NAMES, tmp_path / "other", seed=12)
    mine, theirs = (
        {data for name, data in files(one.folder).items() if name.endswith(".pcapng")} for one in (same, other)
    )
    assert mine.isdisjoint(theirs)


def test_without_a_seed_one_is_drawn(tmp_path: pathlib.Path) -> None:
    """It stands in the key, large enough that nobody tries them all."""
    first, second = (deal_exam(1, tmp_path / name) for name in ("a", "b"))
    assert first.seed != second.seed
    assert json.loads((first.folder / "key.json").read_text())["seed"] == first.seed


def test_kinds_come_round_as_other_worlds(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """More students than kinds: no two captures are equal."""
    monkeypatch.setattr(exams, "KINDS", {name: KINDS[name] for name in ("no room", "not found")})
    exam = deal_exam(5, tmp_path / "exam", seed=1)
    captures = [data for name, data in files(exam.folder).items() if name.endswith(".pcapng")]
    assert len(set(captures)) == 5


@pytest.mark.parametrize(
    ("students", "said"),
    [
        (0, "0 students are asked for; 1 to 200 are expected"),
        (10**6, "1000000 students are asked for"),
        (True, "1 to 200 are expected"),
        ([], "0 students are asked for"),
        (["x"] * (MOST_STUDENTS + 1), "201 students are asked for"),
        (["Ada", "ada "], "two students would share the folder ada"),
        (["..", "Ada"], "the student '..' leaves no name for a folder"),
    ],
)
def test_students_that_cannot_be_had(students: int | list[str], said: str) -> None:
    """One sentence: what was asked for and what is expected."""
    with pytest.raises(BadInput, match=said):
        students_of(students)


def test_names_become_folders() -> None:
    """Letters of any script stay; long names are cut."""
    assert students_of(["Zoë Müller", "李雷", "x" * 300]) == ("zoë-müller", "李雷", "x" * 60)
    assert students_of(12)[-1] == "student-12"
    assert students_of(12)[0] == "student-01"


def test_a_folder_that_is_there_is_left_alone(tmp_path: pathlib.Path) -> None:
    """Also an unfinished one, and a link that leads nowhere; its parent has to be there."""
    for name in ("exam", "other.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("exam", "other", "link"):
        with pytest.raises(BadInput, match="is there already; the name of a new folder is expected"):
            deal_exam(1, tmp_path / name, seed=1)
    with pytest.raises(BadInput, match="its folder does not exist"):
        deal_exam(1, tmp_path / "no" / "exam", seed=1)
    assert sorted(files(tmp_path)) == ["exam/mine", "other.part/mine"]


def test_an_exam_that_breaks_off_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Ctrl-C after the first student."""

    def stop(done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deal_exam(3, tmp_path / "exam", seed=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 and a line; 2 and a sentence for bad input."""
    place = tmp_path / "exam"
    assert main(["exam", "--students", "2", "--seed", "5", "-o", str(place)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"2 captures in {place}, one folder a student; the key is {place / 'key.md'}")
    for students in (["0"], ["1000000"], ["9" * 5000], ["a", "A"]):
        assert main(["exam", "--students", *students, "-o", str(tmp_path / "x")]) == 2
        assert "expected" in capsys.readouterr().err
    assert main(["exam", "--students", "2", "-o", str(place)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["exam", "--students", "Ada", "Grace", "--seed", "5", "-o", str(tmp_path / "named")]) == 0
    assert {one.name for one in (tmp_path / "named").iterdir() if one.is_dir()} == {"ada", "grace"}
