"""Draw what the sections `growth` and `fleet` have kept: cost over size in log and log, for docs/performance.md.

python -m tests.bench.picture docs/growth.png
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

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
            sizes, last = [one[unit] for one in mine], mine[-1]
            # One device is the start of a world, and no slope.
            steep = slope([(one[unit], one["seconds"]) for one in mine if one[unit] >= 10])
            curve: dict[str, Any] = {"color": COLOURS[colour], "markersize": 4}
            above.plot(sizes, [one["seconds"] for one in mine], "o-", label=f"{words}: slope {steep:.2f}", **curve)
            below.plot(sizes, [one["MiB"] for one in mine], "o-", **curve)
            note: dict[str, Any] = {"color": COLOURS[colour], "fontsize": 8, "textcoords": "offset points"}
            below.annotate(f"{last['MiB']:,.0f} MiB", (last[unit], last["MiB"]), (-7, 4), ha="right", **note)
        first, last = points[0][unit], points[-1]
        ends = [last["seconds"] * first / last[unit], last["seconds"]]
        above.plot([first, last[unit]], ends, ":", color=COLOURS["faint"], label="slope 1, linear")
        for ax, words in ((above, "seconds of the processor"), (below, "MiB at the peak")):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_ylabel(words if at == 0 else "")
            ax.grid(color=COLOURS["grid"], linewidth=0.6)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
                axis.set_minor_locator(NullLocator())
        above.xaxis.set_major_formatter(NullFormatter())
        below.set_xlabel(unit)
        below.set_ylim(20, 6_000)
        above.legend(frameon=False, fontsize=8, loc="lower right")
        title = {"packets": "Captures", "devices": "Campaigns in one simulated world"}[unit]
        above.set_title(title, loc="left", fontsize=9)
    words = "Cost grows in step with the packets of a capture, and with the devices of a campaign"
    figure.suptitle(words, fontsize=10, x=0.01, ha="left")
    save_figure(figure, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/bench"))
    options = parser.parse_args()
    draw(options.folder, options.out)
