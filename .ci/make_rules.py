"""Make docs/rules.md from the registry and the captures that trigger each rule: `python .ci/make_rules.py [--check]`.

`--check` only compares, for the test.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "rules.md"
sys.path.insert(0, str(ROOT))

from lwm2m_lab.trace.findings import RULES  # noqa: E402
from lwm2m_lab.trace.findings.chains import LAYERS, layer_of  # noqa: E402
from tests.trace.triggers import TRIGGERS  # noqa: E402

HEAD = """# The rules

Made by `python .ci/make_rules.py` from the registry. A rule is one small function over the tables of an update; its
*party* is whose doing a failure is, its *certainty* that of a failure. *Told after* names the rules whose failure
explains this one: it then stands below them as their consequence. *Shown by* is a capture that makes the rule
speak, and what the rule says of it; the captures are scripts in `tests/trace/triggers`, played by `tests/peers.py`.
The healthy sessions over which every rule is silent are listed in `tests/healthy.txt`.

A rule of your own is five lines: `help(lwm2m_lab.rule)`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for number, name in enumerate(LAYERS):
        own = sorted((one for one in RULES if layer_of(one) == number), key=_natural)
        parts += [f"\n## {name}\n", "| rule | title | clause | party, certainty | told after | shown by |"]
        parts += ["|---|---|---|---|---|---|", *(_row(one) for one in own)]
    return "\n".join(parts) + "\n"


def _natural(rule: str) -> tuple[str, int, str]:
    """F2 before F10."""
    return rule[:1], int("".join(filter(str.isdigit, rule)) or 0), rule


def _row(id: str) -> str:
    """One rule."""
    rule, trigger = RULES[id], TRIGGERS[id]
    party = f"{rule.party}, {rule.certainty}" + ("" if rule.judges_update else "; judges no update")
    cells = [id, rule.title, rule.clause, party, ", ".join(rule.after), f"{trigger.shows}: {trigger.verdict}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    made = page()
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != made:
        print("docs/rules.md is not what the registry says; run python .ci/make_rules.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
