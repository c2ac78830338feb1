"""Make the table of docs/conformance.md from the cases: `python .ci/make_conformance.py [--check]`.

`--check` only compares, for the test.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"
sys.path.insert(0, str(ROOT))

from lwm2m_lab.live.conformance import CASES, Case  # noqa: E402
from lwm2m_lab.live.conformance.images import PREPARATIONS  # noqa: E402
from lwm2m_lab.live.conformance.oma_cases import ERRATA  # noqa: E402
from lwm2m_lab.spec.rules import VERSIONS  # noqa: E402

BEGIN = "<!-- made by python .ci/make_conformance.py -->"


def table() -> str:
    """Everything below the mark."""
    oma = [case for case in CASES if case.id.startswith("int-")]
    own = [case for case in CASES if not case.id.startswith("int-")]
    parts = [BEGIN, "", "## Errata of the draft", ""]
    parts += [f"- **{name}**: {text}." for name, text in ERRATA.items()]
    for title, cases in (("OMA's test cases", oma), ("The lab's own checks", own)):
        parts += ["", f"## {title}", "", "| case | title | for | steps: expected | clause |", "|---|---|---|---|---|"]
        parts += [_row(case) for case in cases]
    return "\n".join(parts) + "\n"


def _row(case: Case) -> str:
    cells = [f"`{case.id}`", case.title, _for(case), "<br>".join(_steps(case)), case.clause]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _for(case: Case) -> str:
    """Versions, what the device must offer, what must be prepared."""
    versions = "every version" if case.versions == VERSIONS else f"Object 5 {', '.join(case.versions)}"
    needs = f"; {', '.join(case.needs)}" if case.needs else ""
    prepared = f"; {PREPARATIONS[case.prepared]}" if case.prepared in PREPARATIONS else ""
    return versions + needs + prepared


def _steps(case: Case) -> list[str]:
    lines = []
    for number, step in enumerate(case.steps, start=1):
        lines.append(f"{number}. {step.do}: {'; '.join(one.text for one in step.expect)}")
        if step.printed is not None:
            lines.append(f"*as printed: {'; '.join(one.text for one in step.printed)}*")
    return [*lines, *(f"erratum {one.partition(':')[0]}" for one in case.errata)]


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    page = PAGE.read_text(encoding="utf-8")
    made = page.partition(BEGIN)[0] + table()
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
    elif page != made:
        print("docs/conformance.md is not what the cases say; run python .ci/make_conformance.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
