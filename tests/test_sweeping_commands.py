"""`lwm2m-lab sweep` and `lwm2m-lab read-many`."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from lwm2m_lab.__main__ import main
from lwm2m_lab.trace.samples import path_of


def test_a_sweep_that_is_kept(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its summary, its runs, its map; again, nothing is run anew."""
    keep, plot = tmp_path / "runs.parquet", tmp_path / "map.png"
    command = ["sweep", "loss=0.0,0.1", "block-size=256,1024", "size=3000", "--seeds", "2", "-o", str(keep)]
    assert main([*command, "--plot", str(plot)]) == 0
    first = capsys.readouterr().out
    assert first.splitlines()[0].startswith("loss,block_size,size,runs,succeeded")
    assert len(first.splitlines()) == 5
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert len(pd.read_parquet(keep)) == 8
    assert main(command) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    "wrong", [["loss"], ["loss=0.1", "loss=0.2"], ["loss=2"], ["size=10", "-o", "x.csv"], ["loss=0.1", "--seeds", "0"]]
)
def test_what_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and a sentence."""
    assert main(["sweep", *wrong]) == 2
    assert "expected" in capsys.readouterr().err


def test_many_captures(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output and to a file; nothing to read is status 2."""
    paths = [str(path_of("anjay-push-256-ok")), str(path_of("anjay-push-badcrc"))]
    assert main(["read-many", *paths]) == 0
    shown = capsys.readouterr().out
    assert main(["read-many", *paths, "-o", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text() == shown
    assert pd.read_csv(tmp_path / "out.csv")["outcome"].tolist() == ["succeeded", "failed"]
    assert main(["read-many", f"{tmp_path}/*.pcap"]) == 2
