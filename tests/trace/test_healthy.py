"""Every rule is silent over every healthy session, and knows its own place in the documentation."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace.findings import RULES

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = [*(f"M{number}" for number in range(1, 16)), *(f"W{number}" for number in range(1, 19)),
             *(f"F{number}" for number in range(1, 25))]  # fmt: skip
NAMES = {name: getattr(lab, name) for name in ("push", "pull", "Link", "DeviceOptions")}


def healthy() -> list[str]:
    """The sessions of tests/healthy.txt."""
    lines = (ROOT / "tests" / "healthy.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def session(line: str, request: Any) -> lab.Capture:
    """A file, opened with its key where it has one, or a simulated run."""
    if line.endswith(")"):
        run: lab.Capture = eval(line, {"__builtins__": {}}, NAMES)
        return run
    path, _, key = line.partition(" ")
    if path.startswith("../shared/"):
        request.getfixturevalue("shared")
    return lab.read(ROOT / path, psk=dict([key.split(":")]) if key else None)


@pytest.mark.parametrize("line", healthy())
def test_no_rule_finds_a_failure(line: str, request: pytest.FixtureRequest) -> None:
    """A false alarm is a bug as grave as a miss; and there is an update in it that the rules have seen."""
    explanation = lab.explain(session(line, request))
    assert [str(one) for one in explanation.findings if str(one.verdict) == "FAIL"] == []
    assert explanation.updates
    assert all(one.verdict in ("PASS", "INCONCLUSIVE") for one in explanation.updates)
    assert not [one for one in explanation.findings if "could not be applied" in one.sentence]


def test_every_failure_of_the_catalogue_is_a_rule() -> None:
    """Each failure from the field by its own id."""
    assert [id for id in CATALOGUE if id not in RULES] == []
    assert len(CATALOGUE) == 57


def test_the_page_of_rules_is_the_registry() -> None:
    """docs/rules.md is made, not written: each rule with its clause, its party and the capture that shows it."""
    command = [sys.executable, str(ROOT / ".ci" / "make_rules.py"), "--check"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([A-Z]\d+) \|", page, flags=re.MULTILINE)) == set(RULES)
