"""Values by path, whatever brought them: in one message or in blocks, composite, notified, sent; named and typed."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace import objects
from lwm2m_lab.trace.typed import typed
from lwm2m_lab.wire.values import Entry
from tests.peers import Session

XML = """<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition"><Name>Valve</Name><ObjectID>26241</ObjectID>
<MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources>
<Item ID="1"><Name>Opening</Name><Operations>R</Operations><MultipleInstances>Single</MultipleInstances>
<Mandatory>Optional</Mandatory><Type>Float</Type><RangeEnumeration></RangeEnumeration><Units>%</Units></Item>
<Item ID="2"><Name>Stuck</Name><Operations>R</Operations><MultipleInstances>Single</MultipleInstances>
<Mandatory>Optional</Mandatory><Type>Boolean</Type><RangeEnumeration></RangeEnumeration><Units></Units></Item>
</Resources></Object></LWM2M>"""


def seen(script: str) -> list[tuple[str, object, str]]:
    """Path, value and how of each sighting."""
    table = Session("register\n" + script).capture().timeline
    return list(table[["path", "value", "how"]].itertuples(index=False, name=None))


def in_blocks(line: str, answer: str, body: bytes, *, which: int, size: int = 16) -> str:
    """A request and its answer for each block of a body that one of them carries."""
    lines = []
    for num in range(-(-len(body) // size)):
        more = int((num + 1) * size < len(body))
        part = f"hex={body[num * size : num * size + size].hex()}"
        block = f"{which}:{num}/{more}/{size}"
        if which == 1:
            code = "2.31" if more else "2.04"
            lines += [f"{line} {block} {part}", f"{answer} ACK {code} {block}"]
        else:
            lines += [f"{line} {block if num else ''}", f"{answer} ACK 2.05 {block} {part}"]
    return "\n".join(lines).replace("ACK 2.05", "ACK 2.05 cf=110") if which == 2 else "\n".join(lines)


PACK = b'[{"bn":"/5/0/","n":"3","v":1},{"n":"5","v":0},{"bn":"/3/0/","n":"3","vs":"1.0.0"}]'
FEW = b'[{"bn":"/5/0/","n":"3","v":1},{"n":"5","v":0}]'
VALUES = [("/5/0/3", 1), ("/5/0/5", 0), ("/3/0/3", "1.0.0")]


def test_a_send_in_one_message_and_in_blocks() -> None:
    """/dp carries what it carries, put together before it is read."""
    one = f"device > server CON POST /dp cf=110 hex={PACK.hex()}\nserver > device ACK 2.04"
    several = in_blocks("device > server CON POST /dp cf=110", "server > device", PACK, which=1)
    for script in (one, several):
        assert seen(script) == [(path, value, "send") for path, value in VALUES]


def test_attributes_are_no_values() -> None:
    """A PUT with a query, no payload and no Content-Format is Write-Attributes; an empty Write names its format."""
    assert seen("server > device CON PUT /5/0/3?pmin=0&pmax=10\ndevice > server ACK 2.04") == []
    assert seen("server > device CON PUT /5/0/1 cf=0\ndevice > server ACK 2.04") == [("/5/0/1", "", "write")]


def test_a_read_in_blocks() -> None:
    """An object whose values span several blocks is read once its last block is there; an unfinished one is not."""
    script = in_blocks("server > device CON GET /5/0", "device > server", FEW, which=2)
    assert seen(script) == [(path, value, "read") for path, value in VALUES[:2]]
    assert seen("\n".join(script.splitlines()[:-2])) == []


def test_blocks_fetched_after_a_notification() -> None:
    """The first block comes with the notification, the others are fetched (RFC 7959, 2.6)."""
    first, rest = PACK[:64], PACK[64:]
    script = (
        "server > device CON GET /5/0 observe=0\ndevice > server ACK 2.05 observe=1 cf=110 text=[]\n"
        f"device > server CON 2.05 for=/5/0 observe=2 2:0/1/64 cf=110 hex={first.hex()}\nserver > device ACK\n"
        f"server > device CON GET /5/0 2:1/0/64\ndevice > server ACK 2.05 2:1/0/64 cf=110 hex={rest.hex()}\n"
    )
    assert seen(script) == [(path, value, "notify") for path, value in VALUES]


def test_composite_operations() -> None:
    """Read-, Observe- and Write-Composite, and the notification of the second."""
    fetch = "server > device CON FETCH cf=110 {} hex={}\ndevice > server ACK 2.05 cf=110 {} hex={}\n"
    names = b'[{"n":"/5/0/3"},{"n":"/5/0/5"}]'.hex()
    assert seen(fetch.format("", names, "", PACK.hex())) == [(path, value, "read") for path, value in VALUES]
    observed = fetch.format("observe=0 token=aa", names, "observe=1", PACK.hex())
    told = f"device > server NON 2.05 token=aa observe=2 cf=110 hex={PACK.hex()}"
    assert [how for _, _, how in seen(observed + told)] == ["observe"] * 3 + ["notify"] * 3
    write = f"server > device CON iPATCH cf=110 hex={PACK.hex()}\ndevice > server ACK 2.04\n"
    assert seen(write) == [(path, value, "write") for path, value in VALUES]
    assert seen(write.replace("2.04", "4.05")) == []


def test_reads_at_any_level() -> None:
    """/, /5, /5/0 and /5/0/3 tell the same."""
    for path in ("", "/5", "/5/0"):
        script = f"server > device CON GET {path}\ndevice > server ACK 2.05 cf=110 hex={FEW.hex()}"
        assert seen(script) == [("/5/0/3", 1, "read"), ("/5/0/5", 0, "read")]
    assert seen("server > device CON GET /5/0/3\ndevice > server ACK 2.05 cf=0 text=2") == [("/5/0/3", 2, "read")]


@pytest.mark.parametrize("said", ["ACK 4.04", "ACK 4.05 cf=0 text=no", "ACK 2.05 cf=40 text=</5/0/3>;pmin=1"])
def test_refused_reads_and_attributes_are_no_values(said: str) -> None:
    """Nor is what a Discover answers."""
    assert seen(f"server > device CON GET /5/0/3\ndevice > server {said}") == []


@pytest.mark.parametrize(
    ("form", "said", "value"),
    [
        ("cf=42", "text=2", 2),
        ("cf=42", "hex=02", 2),
        ("", "text=2", 2),
        ("cf=60", "hex=02", 2),
        ("cf=0", "text=two", None),
    ],
)
def test_a_number_in_the_wrong_format(form: str, said: str, value: object) -> None:
    """Opaque that holds the text of a number is that number; what is none is none."""
    (row,) = seen(f"server > device CON GET /5/0/3\ndevice > server ACK 2.05 {form} {said}")
    assert row[0] == "/5/0/3"
    assert row[1] == value or (value is None and row[1] != row[1]) or (value is None and row[1] is None)


def test_objects_from_a_file_have_names_and_types(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded names resources and types their values."""
    monkeypatch.setattr(objects, "_LOADED", {})
    (tmp_path / "26241.xml").write_text(XML)
    script = "register\nserver > device CON GET /26241/0\ndevice > server ACK 2.05 cf=11542 hex=c40141c80000c10201"
    before = Session(script).capture().timeline
    assert before["name"].isna().all()
    lab.load_objects(tmp_path / "26241.xml")
    after = Session(script).capture().timeline
    assert after[["name", "value", "label"]].to_numpy().tolist() == [["Opening", 25.0, "25.0"], ["Stuck", True, "true"]]


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("/5/0/3", "3", (3, "3 Updating")), ("/5/0/5", 12, (12, "12")),
        ("/3/0/13", b"\x65\xe1\x1a\x80", (1709251200, "2024-03-01 00:00:00Z")),
        ("/5/0/13", b"\xff\xff\xff\xff", (4294967295, "4294967295")), ("/5/0/14", "0", (False, "false")),
        ("/5/0/14", b"\x07", (None, "unknown")), ("/3/0/22", b"\x00\x05\x00\x00", ("5:0", "5:0")),
        ("/3/0/3", b"1.0", ("1.0", "1.0")), ("/3/0/3", b"\xff", (b"\xff", "1 bytes: ff")),
        ("/3/0/13", 1 << 62, (1 << 62, str(1 << 62))), ("/5/0/3", float("inf"), (None, "None")),
    ],
)  # fmt: skip
def test_types(path: str, value: Any, shown: tuple[object, str]) -> None:
    """Each type of resource, from bytes, text and numbers."""
    assert typed(Entry(path, value), bare=False) == shown
