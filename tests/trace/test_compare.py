"""Two captures side by side, and many in one table."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.samples import path_of
from tests.peers import Session, image


def whole(*, final: str = "2.04", result: int = 1, blocks: int | None = None) -> Session:
    """A session of one push."""
    session = Session("ready")
    session.push(image(), final=final, upto=blocks)
    if blocks is None:
        session.notify("/5/0/3", 2)
        session.execute()
        session.wait(10).register()
        session.read("/5/0/3", 0)
        session.read("/5/0/5", result)
        session.read("/3/0/3", "2.1.0")
    return session


def test_a_capture_is_like_itself() -> None:
    """Nothing differs, and it is said how much was compared."""
    capture = whole().capture()
    found = lab.compare(capture, capture)
    assert (found.same, found.first) == (True, None)
    assert found.alike > 3
    assert "nothing differs but times" in str(found)


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_the_side_are_no_difference(seed: int) -> None:
    """Copies, times, tokens and message ids differ between runs and sides, and nothing of it counts."""
    run = lab.push(size=9000, seed=seed, link=lab.Link(loss=0.1))
    assert lab.compare(run, run.device_side()).differences == ()
    other = lab.push(size=9000, seed=seed + 50)
    assert [one for one in lab.compare(run, other).differences if "block" in one.what] == []


def test_the_first_difference_has_a_frame_of_each() -> None:
    """A last block that is refused in one: that comes first, what follows from it later."""
    good, bad = whole().capture(), whole(final="5.00", result=5).capture()
    first = lab.compare(good, bad).first
    assert first is not None
    assert (first.what, first.a, first.b) == ("PUT /5/0/0 block 2", "2.04", "5.00")
    assert first.frame_a == first.frame_b
    assert good.message(int(first.frame_a or 0)).block1 == bad.message(int(first.frame_b or 0)).block1


def test_fields_of_the_update_that_differ() -> None:
    """Outcome, results and cause, as the one and the other have them."""
    found = lab.compare(whole().capture(), whole(result=8).capture())
    table = found.updates.set_index("field")
    assert table.loc["outcome"].tolist() == ["dev-1", "succeeded", "failed"]
    assert table.loc["results", "b"] == "0 -> 8"
    assert found.first is not None
    assert str(found.first).startswith("/5/0/5 Update Result: 1 Updated successfully (frame ")


def test_how_often_somebody_reads_is_no_difference() -> None:
    """Values are compared with their repeats dropped."""
    often = whole()
    for _ in range(4):
        often.read("/3/0/3", "2.1.0")
    assert lab.compare(whole().capture(), often.capture()).same


def test_blocks_that_are_missing_are_one_line() -> None:
    """The print tells runs of them together; the table has each."""
    small, large = lab.push(size=3000), lab.push(size=30_000)
    found = lab.compare(small, large)
    assert "27 blocks" in str(found) or "26 blocks" in str(found)
    assert len(found.table) >= 27
    assert len(str(found).split("\n")) < 30


def test_endpoints_of_other_names_are_paired_in_order(shared: pathlib.Path) -> None:
    """Where one has more of them, the rest stands alone."""
    captures = shared / "captures" / "anjay"
    found = lab.compare(captures / "anjay-multi-4-devices.pcap", captures / "anjay-pull-coap-404.pcap")
    assert found.updates[found.updates["field"] == "update"]["b"].tolist() == ["no update"] * 3
    other = lab.push(size=3000, device=lab.DeviceOptions(endpoint="urn:dev:other"))
    assert lab.compare(lab.push(size=3000), other).same


def test_captures_without_messages() -> None:
    """Two encrypted ones are alike as far as anybody can see; against one in the clear everything differs."""
    hidden = lab.read("anjay-dtls-psk")
    assert lab.compare(hidden, hidden).same
    assert not lab.compare(hidden, lab.read("anjay-push-256-ok")).same


def test_the_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 where nothing but times differs, 1 where something does, 2 for what cannot be read."""
    good, bad = (str(path_of(name)) for name in ("anjay-push-256-ok", "anjay-push-badcrc"))
    assert main(["compare", good, good]) == 0
    assert main(["compare", good, bad]) == 1
    assert "first difference" in capsys.readouterr().out
    assert main(["compare", good, bad, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["same"], said["schema"]) == (False, 1)
    assert said["differences"][0]["frame_a"] > 0
    assert main(["compare", good, "nowhere.pcap"]) == 2


# ---------------------------------------------------------------- many


def test_a_campaign_in_one_table(tmp_path: pathlib.Path) -> None:
    """A row an update; files without one, and files that cannot be read, are rows with their reason."""
    for name in ("anjay-push-256-ok", "anjay-push-badcrc", "anjay-dtls-psk"):
        shutil.copy(path_of(name), tmp_path)
    (tmp_path / "sub").mkdir()
    shutil.copy(path_of("anjay-push-delayed-failure"), tmp_path / "sub")
    (tmp_path / "damaged.pcap").write_bytes(b"no capture")
    (tmp_path / "notes.txt").write_text("no capture at all")
    table = lab.read_many(tmp_path).set_index("file")
    assert len(table) == 5
    assert table.loc["anjay-push-badcrc.pcap", ["outcome", "verdict"]].tolist() == ["failed", "PASS"]
    assert table.loc["sub/anjay-push-delayed-failure.pcap", "failing_rules"] == "V4"
    assert "no capture" in table.loc["damaged.pcap", "problem"]
    assert "encrypted" in table.loc["anjay-dtls-psk-push-ok.pcap", "problem"]
    assert table.loc["anjay-push-256-ok.pcap", "problem"] is None
    assert table.loc["anjay-push-256-ok.pcap", "duration_s"] > 0


def test_patterns_lists_and_keys(shared: pathlib.Path) -> None:
    """What is given may be a pattern, a file or several; keys open what is encrypted."""
    folder = shared / "captures" / "anjay"
    table = lab.read_many(f"{folder}/*dtls-psk*.pcap", psk={"h1-device-identity": "00112233445566778899aabbccddeeff"})
    assert set(table["outcome"]) == {"succeeded"}
    twice = lab.read_many([folder / "anjay-push-256-ok.pcap", f"{folder}/anjay-push-256-*.pcap"])
    assert len(twice) == 1


def test_nothing_to_read(tmp_path: pathlib.Path) -> None:
    """An empty folder or pattern is refused; a file that is not there is a row among others."""
    for nothing in (tmp_path, f"{tmp_path}/*.pcap", []):
        with pytest.raises(BadInput, match="expected"):
            lab.read_many(nothing)
    table: Any = lab.read_many(tmp_path / "gone.pcap")
    assert "cannot be read" in table["problem"].iloc[0]
