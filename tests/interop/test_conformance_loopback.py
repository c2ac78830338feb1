"""The conformance bench on real sockets: the lab's own device; a file of its own, for a second worker."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.spec.rules import VERSIONS
from tests.live.test_conformance import NOT_FOR, verdicts


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_by_the_book_passes_on_real_sockets_too(version: str) -> None:
    """With every time scaled down; there the pull by HTTP is tried as well."""
    result = lab.conformance(network="loopback", object_version=version)
    assert {one.case.id: one.sentence for one in result.results if one.verdict not in ("PASS", "NOT APPLICABLE")} == {}
    assert verdicts(result, "NOT APPLICABLE") == NOT_FOR[version]
