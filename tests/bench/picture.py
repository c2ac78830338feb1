"""Draw what the sections `growth` and `fleet` have kept: cost over size in log and log, for docs/performance.md.

python -m tests.bench.picture docs/growth.png
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from lwm2m_lab.show.style import COLOURS, new_figure, save_figure
from tests.bench.measuring import slope

#: The units of a picture: what grows, and the curves of it.
PANELS = (
    ("growth", "packets", (("columns", "all at once", "state"), ("stream", "part by part", "firmware"))),
    ("fleet", "devices", ((None, "20 kB each, 200 at once", "result"),)),
)


def draw(folder: pathlib.Path, out: pathlib.Path) -> None:
    """Time above, memory below; captures left, campaigns right; a dotted line is linear."""
    figure, axes = new_figure(height=5.6, rows=[3, 2], columns=2, share=False)
    for at, (name, unit, curves) in enumerate(PANELS):
        points = json.loads((folder / f"{name}.json").read_text())
        above, below = axes[at], axes[2 + at]
        for program, words, colour in curves:
            mine = [one for one in points if program is None or one["program"] == program]
            sizes = [one[unit] for one in mine]
            for ax, value in ((above, "seconds"), (below, "MiB")):
                ax.plot(sizes, [one[value] for one in mine], "o-", color=COLOURS[colour], markersize=4, label=words)
            last = mine[-1]
            steep = slope([(one[unit], one["seconds"]) for one in mine if unit == "packets" or one[unit] >= 10])
            note: dict[str, Any] = {"color": COLOURS[colour], "fontsize": 8, "textcoords": "offset points"}
            above.annotate(f"slope {steep:.2f}", (last[unit], last["seconds"]), (-6, 6), ha="right", **note)
            below.annotate(f"{last['MiB']:,.0f} MiB", (last[unit], last["MiB"]), (-6, 5), ha="right", **note)
        first, last = points[0], points[-1]
        per = last["seconds"] / last[unit]
        above.plot(
            [first[unit], last[unit]], [per * first[unit], last["seconds"]], ":", color=COLOURS["faint"], label="linear"
        )
        for ax, words in ((above, "seconds of the processor"), (below, "MiB at the peak")):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_ylabel(words if at == 0 else "")
            ax.grid(color=COLOURS["grid"], linewidth=0.6)
        below.set_xlabel(unit)
        below.margins(y=0.25)
        above.legend(frameon=False, fontsize=8, loc="upper left")
        above.set_title({"packets": "Captures", "devices": "Campaigns in one simulated world"}[unit], loc="left")
    figure.suptitle(
        "Cost grows in step with what is read, and with the devices of a campaign", fontsize=10, x=0.01, ha="left"
    )
    save_figure(figure, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/bench"))
    options = parser.parse_args()
    draw(options.folder, options.out)
