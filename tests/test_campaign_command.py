"""`lwm2m-lab campaign`: the screen, the files, the exit status."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main

SMALL = ["campaign", "--devices", "20", "--size", "2000", "--limit", "5"]


def test_what_it_prints_and_writes(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The screen of the library; the table, the dashboard, one device's capture. Some failed: 1."""
    files = {name: tmp_path / f"out.{name}" for name in ("csv", "png", "pcapng")}
    more = ["--profile", "strict=0.8", "--profile", "anjay=0.2", "--fault", "keeps-firmware-version=0.1"]
    more += ["--stages", "0.2,1", "--stop-at", "0.5", "--at-least", "4", "--cell-rate", "60000", "--link", "lan"]
    out = ["--csv", str(files["csv"]), "--plot", str(files["png"]), "--pcap", str(files["pcapng"])]
    assert main([*SMALL, *more, *out, "--device", "urn:dev:01"]) == 1
    done = lab.campaign(
        20, size=2000, limit=5, profiles={"strict": 0.8, "anjay": 0.2}, faults={"keeps-firmware-version": 0.1},
        stages=(0.2, 1.0), stop_at=0.5, at_least=4, cell_rate=60_000, links="lan",
    )  # fmt: skip
    assert capsys.readouterr().out == f"{done}\n"
    assert pd.read_csv(files["csv"])["outcome"].tolist() == done.devices["outcome"].tolist()
    assert files["png"].read_bytes()[:4] == b"\x89PNG"
    assert files["pcapng"].read_bytes() == done.run("urn:dev:01").pcapng()


def test_all_updated_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    """By pull, too."""
    assert main([*SMALL, "--delivery", "pull", "--cells", "2", "--workers", "1"]) == 0
    assert "20 of 20 devices updated in " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--limit", "0"], "limit is 0; a whole number of 1 or more is expected"),
        (["--stages", "a,b"], "--stages is 'a,b'; shares with commas between them are expected, as in 0.01,0.1,1"),
        (["--fault", "forgets-result=often"], "--fault is 'forgets-result=often'; NAME=SHARE is expected"),
        (["--fault", "forgets=0.1"], "faults names 'forgets', which is not there; 'forgets-result' is the nearest"),
        (["--profile", "strict=0.5"], "the shares in profiles add up to 0.5; 1 is expected"),
        (["--plot", "out.txt"], "out.txt names no kind of picture"),
        (["--pcap", "out.pcapng"], "a capture is of one device; --pcap OUT and --device NAME are expected together"),
        (["--devices", "1000000000"], "devices would take about "),
        (["--stop-at", "0.1", "--at-least", "30"], "the stop rule can never stop anything"),
    ],
)  # fmt: skip
def test_bad_input(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and 2; nothing is written."""
    assert main([*SMALL, *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1
