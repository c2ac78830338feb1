"""The samples are those that their registry names, and their README says where they come from."""

from __future__ import annotations

import hashlib
import html
import pathlib
import subprocess
import sys

import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.samples import SAMPLES, path_of

DATA = pathlib.Path(__file__).resolve().parents[2] / "data"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_what_it_was(sample) -> None:  # type: ignore[no-untyped-def]
    """Its hash is the registry's, and data/README.md tells the same of it."""
    assert hashlib.sha256(path_of(sample.name).read_bytes()).hexdigest() == sample.sha256
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for fact in (sample.file, sample.sha256, sample.shows):
        assert fact in readme


def test_nothing_else_lies_there() -> None:
    """Every file has its entry."""
    assert {path.name for path in (DATA / "captures").iterdir()} == {sample.file for sample in SAMPLES}


def test_the_samples_are_the_captures_beside_the_checkout(shared: pathlib.Path) -> None:
    """Copied, not altered; what the lab wrote itself is there in no other place."""
    for sample in SAMPLES:
        if sample.file.startswith("lab-"):
            continue
        (original,) = (shared / "captures").glob(f"*/{sample.file}")
        assert original.read_bytes() == path_of(sample.name).read_bytes()


def test_what_is_written_down_gives_the_same_bytes() -> None:
    """The script beside it makes the two captures of a download that rests."""
    script = DATA.parent / ".ci" / "make_cases.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


KEY = {"urn:dev:valve-9": "101112131415161718191a1b1c1d1e1f"}


def test_a_download_over_coaps_is_the_updates_own() -> None:
    """A URI without a port means 5684; with the key the blocks of both sessions belong to the update."""
    update = lab.read("coaps-pull-rest-cid", psk=KEY).update(0)
    assert (update.image_size, update.block_sizes) == (60_000, (512,))
    broken = lab.explain(lab.read("coaps-pull-rest", psk=KEY))
    assert [one.rule for one in broken.problems] == ["M13"]


def test_tshark_opens_what_was_written_down(tshark: str) -> None:
    """With the key: every block that the lab reads."""
    path = path_of("coaps-pull-rest-cid")
    wanted = ["-o", f"dtls.psk:{KEY['urn:dev:valve-9']}", "-Y", "coap.code == 69 && udp.port == 5684"]
    command = [tshark, "-r", str(path), *wanted]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(shown.splitlines()) == 118


def test_samples_open_by_name() -> None:
    """Without an argument the first; an unknown name lists those there are."""
    assert lab.read().name == SAMPLES[0].file
    assert list(lab.samples()["name"]) == [sample.name for sample in SAMPLES]
    with pytest.raises(BadInput, match="anjay-push-256-ok"):
        path_of("nothing")


def test_a_name_with_a_slip_is_asked_back() -> None:
    """A path is not: it may be that of any file."""
    with pytest.raises(BadInput, match="no sample 'anjay-push-badcr'; one like anjay-push-badcrc is expected"):
        lab.read("anjay-push-badcr")
    with pytest.raises(BadInput, match=r"anjay-push-badcr\.pcap cannot be read"):
        lab.read("anjay-push-badcr.pcap")


def test_what_a_sample_shows_is_said_whole() -> None:
    """In a notebook and in a terminal: pandas would cut each sentence after fifty letters."""
    table = lab.samples()
    for one in SAMPLES:
        assert html.escape(one.shows, quote=False) in table._repr_html_()
        assert one.shows in repr(table)
    assert "..." in repr(pd.DataFrame(table))
