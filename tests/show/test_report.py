"""The report: one page that needs nothing else, says what an engineer asks in that order, and obeys no capture."""

from __future__ import annotations

import html.parser
import itertools
import pathlib
import re
import subprocess

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.report import DETAILED, report_html
from lwm2m_lab.trace.samples import path_of
from tests.conftest import need_tool
from tests.peers import Session

NASTY = '</td><script>alert(1)</script>\x1b[2J\u202e\x00$\\frac"'
#: Elements without an end.
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """What a browser would build: every element with its attributes, and that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for one, attributes in self.elements if one == tag]


def page_of(capture: lab.Capture) -> tuple[str, Page]:
    """The report as text, and as a browser reads it."""
    text = report_html(capture.explain())
    return text, Page(text)


@pytest.mark.parametrize(
    "name", ["anjay-push-256-ok", "anjay-push-delayed-failure", "anjay-pull-coap-404", "anjay-dtls-psk"]
)
def test_a_page_needs_nothing_else(name: str) -> None:
    """No script, no address on a network, nothing to fetch: a browser is told to refuse it, too."""
    text, page = page_of(lab.read(name))
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import', text)
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert text == report_html(lab.read(name).explain())


def test_it_says_what_an_engineer_asks_in_that_order() -> None:
    """What happened and why; facts; pictures; findings; transfers; messages; what is missing; how it was made."""
    capture = lab.read("anjay-push-delayed-failure")
    explanation = capture.explain()
    text, page = page_of(capture)
    pieces = [
        explanation.sentence, "LwM2M E.6; ETS int-779", "outcome of the update", "verdict on the device",
        "0 Idle → 2 Downloaded", "3.13.1 → 3.14.0",
        str(capture.update(0).image_sha256), "Versions over time", "Decisive messages", "Findings", "findings pass",
        "Transfers", "Messages around the evidence", "Can this capture be explained?", "How this report was made",
        f"lwm2m-lab {lab.__version__}", capture.fingerprint()[0],
    ]  # fmt: skip
    places = [text.index(piece) for piece in pieces]
    assert places == sorted(places)
    assert len(page.all("svg")) == 2


def test_the_page_can_be_heard_and_walked_through() -> None:
    """No heading left out, a name for each picture and table, heads for rows and columns, anchors that are there."""
    text, page = page_of(lab.read("anjay-push-delayed-failure"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(one["role"] == "img" and one["aria-label"] for one in page.all("svg"))
    assert all(one.get("scope") in ("row", "col") for one in page.all("th"))
    assert len(page.all("caption")) + text.count('class="facts"') == len(page.all("table"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(one["href"])[1:] for one in page.all("a")} <= set(ids)


def test_nothing_of_a_capture_is_obeyed(tmp_path: pathlib.Path) -> None:
    """Markup, terminal escapes, a mark that turns the line round, mathematics: shown as what they are."""
    session = Session()
    session.exchange("0.02", "/rd", "2.01", from_device=True, queries=(f"ep={NASTY}", "lwm2m=1.1", "b=U"))
    session.read("/3/0/3", f"1{NASTY}")
    session.read("/5/0/3", 0)
    session.push(b"x" * 3000)
    session.read("/5/0/5", 5)
    capture = session.capture()
    assert capture.updates["endpoint"].tolist() == [NASTY]
    capture.report(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.all("script")
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "&lt;script&gt;alert(1)" in text
    assert "\\x1b[2J" in text


def test_many_updates_are_a_table_and_a_few_in_full() -> None:
    """Every one has its row; those that failed are told, not more than a page holds."""
    session = Session()
    for number in range(60):
        session.device = (f"192.0.2.{number + 10}", 50000)
        session.exchange("0.02", "/rd", "2.01", from_device=True, queries=(f"ep=dev-{number}", "lwm2m=1.1", "b=U"))
        session.push(bytes([number]) * 300, final="2.04" if number % 2 else "4.13")
        session.read("/5/0/5", 1 if number % 2 else 0)
    capture = session.capture()
    assert len(capture.updates) == 60
    text, page = page_of(capture)
    assert len(page.all("svg")) <= 2 * DETAILED
    assert all(f">dev-{number}<" in text for number in range(60))
    assert "urn" not in text
    assert re.findall(r'<h2 id="u(\d+)"', text) == [str(2 * at) for at in range(DETAILED)]
    assert len(text) < 1_000_000


def test_a_part_says_that_it_is_one(tmp_path: pathlib.Path) -> None:
    """Selection, hash and sizes are enough to make the report again."""
    path = str(path_of("anjay-push-256-ok"))
    assert main(["report", path, "--from", "frame:3", "-o", f"{tmp_path}/x.html"]) == 0
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "from frame:3" in text
    assert "df1da10a94fdf8eb6bebb21065bd2a6a0ffaf8dc73367d82dfb3fc5fe0e569a6" in text
    with pytest.raises(BadInput, match="a path in an existing folder is expected"):
        lab.read(path).report(tmp_path / "no" / "x.html")


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_without_a_word_of_complaint(width: int, tmp_path: pathlib.Path) -> None:
    """Opened from a file, on a phone and on a desk: drawn, and no error on the console."""
    chromium = need_tool("chromium")
    lab.read("anjay-push-delayed-failure").report(tmp_path / "x.html")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
               f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=2000",
               "--dump-dom", (tmp_path / "x.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "How this report was made" in done.stdout
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_frames_that_the_sentence_names_are_in_the_ladder_and_in_the_table() -> None:
    """The device speaks again long after the last copy: the sentence says so, and the evidence has it."""
    capture = lab.read("anjay-push-link-cut-midway")
    text, _ = page_of(capture)
    named = re.findall(r"frames? (\d+)", str(capture.update(0).cause))
    assert "45" in named
    assert all(f'id="u0f{frame}"' in text for frame in named)
    assert f"#{named[-1]}<" in text


def test_a_log_beside_the_capture_stands_between_the_messages(tmp_path: pathlib.Path) -> None:
    """With its complaint, escaped; the decisive messages stay, however long the log is."""
    lines = "".join(f"{0.4 + at / 1000:.4f} tick {at}\n" for at in range(400))
    (tmp_path / "device.log").write_text(f"{lines}0.4300 <b>flash</b> error\n", encoding="utf-8")
    capture = lab.read("anjay-push-badcrc").with_log(tmp_path / "device.log", offset=0)
    text, page = page_of(capture)
    assert not page.all("b") or "<b>flash" not in text
    assert "device.log" in text
