"""The samples are those that their registry names, and their README says where they come from."""

from __future__ import annotations

import hashlib
import pathlib

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
    """Copied, not altered."""
    for sample in SAMPLES:
        (original,) = (shared / "captures").glob(f"*/{sample.file}")
        assert original.read_bytes() == path_of(sample.name).read_bytes()


def test_samples_open_by_name() -> None:
    """Without an argument the first; an unknown name lists those there are."""
    assert lab.read().name == SAMPLES[0].file
    assert list(lab.samples()["name"]) == [sample.name for sample in SAMPLES]
    with pytest.raises(BadInput, match="anjay-push-256-ok"):
        path_of("nothing")
