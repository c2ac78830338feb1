"""A capture of an interface by dumpcap."""

from __future__ import annotations

import pathlib

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.sniffing import sniff
from tests.conftest import need_tool


@pytest.mark.parametrize(
    ("options", "said"),
    [({"seconds": 0}, "seconds is 0"), ({"ports": (70000,)}, "70000"), ({"interface": "nowhere9"}, "no interface")],
)
def test_what_cannot_be_captured_is_one_sentence(tmp_path: pathlib.Path, options: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        sniff(**{"interface": "lo", "path": tmp_path / "out.pcapng", **options})


def test_a_folder_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        sniff("lo", tmp_path / "none" / "out.pcapng")


def test_a_capture_ends_by_itself(tmp_path: pathlib.Path) -> None:
    need_tool("dumpcap")
    try:
        size = sniff("lo", tmp_path / "out.pcapng", seconds=1)
    except BadInput as refused:
        if "ermission" not in str(refused):
            raise
        pytest.skip("may not capture here")
    assert size == (tmp_path / "out.pcapng").stat().st_size > 0
