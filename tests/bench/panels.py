"""How long each panel takes from a moved control to its new picture, in Python: what a browser adds is its own.

A control is given its next value, as a front end does; the panel has redrawn when that returns, and something that it
shows must have changed. The first move is left out: it fills the caches of fonts.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.bench.measuring import Bench, Row, child, measured

#: Milliseconds that a move may take, the median of all moves.
LIMIT = 150
#: Moves of each control for each round that is asked for.
TIMES = 4
#: Long work, that shows a progress bar where it takes longer, is no redraw.
ANEW = "anew"


def panels(bench: Bench) -> Iterator[Row]:
    """Every panel with controls, and each of its controls."""
    for name, moves in child("panels", bench.rounds * TIMES).items():
        wall, cpu = ([move[at] for move in moves] for at in (0, 1))
        middle, worst = 1000 * statistics.median(wall), 1000 * statistics.quantiles(wall, n=20)[-1]
        figure = f"{middle:.0f} ms (of the processor {1000 * statistics.median(cpu):.0f}), 1 in 20 over {worst:.0f} ms"
        required = ("", None) if name.endswith(ANEW) else (f"< {LIMIT} ms", middle < LIMIT)
        yield Row("a move", measured(name, wall), figure, *required)


#: A panel, how a control of it is moved, and to what: values that a panel remembers come once each.
Case = tuple[str, Any, Callable[[Any], None], Iterable[Any]]


def _cases() -> Iterator[Case]:
    """Each panel on something of the size that a lesson gives it."""
    import lwm2m_lab as lab

    def moved(control: Any) -> Callable[[Any], None]:
        return lambda value: setattr(control, "value", value)

    def slider(control: Any) -> tuple[Callable[[Any], None], Iterable[Any]]:
        count = control.max - control.min + 1
        step = next(step for step in (7, 5, 3, 1) if count % step)
        return moved(control), [control.min + (at * step) % count for at in range(count)]

    def turns(*values: Any) -> Iterator[Any]:
        return itertools.cycle(values)

    stepper, other = lab.show.stepper("1.1"), lab.show.stepper("1.1")
    yield "stepper, version", stepper, moved(stepper.version), turns("1.0", "1.2", "1.1")
    yield "stepper, event", other, other.press, turns(
        lab.Event.FIRST_BLOCK, lab.Event.PACKAGE_COMPLETE, lab.Event.RESET
    )  # fmt: skip
    link, lossy = lab.show.link_lab(), lab.show.link_lab()
    yield "link_lab, loss", link, moved(link.controls["loss"]), turns(0.0, 0.02, 0.1, 0.2, 0.07)
    yield "link_lab, delay", link, moved(link.controls["delay"]), turns(0.0, 0.5, 1.0, 2.5)
    yield "link_lab, block size", link, moved(link.controls["block_size"]), turns(256, 1024, 512)
    # A timer shows only where something is lost.
    lossy.controls["loss"].value = 0.2
    yield "link_lab, ACK_TIMEOUT", lossy, moved(lossy.controls["ack_timeout"]), turns(1, 4, 8, 2)
    run = lab.push(size=60_000, loss=0.1, seed=4)
    blocks = lab.show.block_explorer(run)
    yield "block_explorer", blocks, *slider(blocks.cursor)
    image = lab.show.image_explorer(lab.image(size=60_000))
    yield "image_explorer", image, *slider(image.cursor)
    slots = lab.show.slot_animation(lab.push(size=5_000))
    yield "slot_animation", slots, *slider(slots.cursor)
    table = lab.show.truth_table_panel()
    yield "truth_table_panel, device", table, moved(table.device), [f"D{number}" for number in (1, 2, 3, 4, 6, 7, 8, 9)]
    yield "truth_table_panel, strategy", table, moved(table.strategy), turns("S1", "S7", "S3")
    for trace in (lab.read("anjay-push-badcrc").explore(), run.explore()):
        yield f"trace explorer, {trace.cursor.max + 1} messages", trace, *slider(trace.cursor)
    beside = lab.show.side_by_side(run, lab.pull(size=60_000, loss=0.1, seed=4))
    yield "side_by_side", beside, *slider(beside.cursor)
    cases = ["int-652", "int-770", "int-772"]
    board = lab.show.conformance_explorer(lab.conformance(cases=cases), case="int-772")
    yield "conformance_explorer", board, moved(board.case), turns(*cases)
    rules = lab.show.rule_diff("1.0", "1.2")
    yield "rule_diff", rules, moved(rules.new), ["1.1", "1.0"]
    card = lab.show.case_card(1)
    yield "case_card", card, moved(card.chooser), list(range(2, 12))
    fleet = lab.show.campaign_dashboard()
    yield "campaign_dashboard, 40 devices " + ANEW, fleet, moved(fleet.controls["limit"]), [1, 2, 5, 20, 40]


def _shown(widget: Any) -> list[Any]:
    """Every text and picture of a panel."""
    found = [widget.value] if type(widget).__name__ in ("HTML", "Image") else []
    return found + [one for inner in getattr(widget, "children", ()) for one in _shown(inner)]


def _moves(panel: Any, move: Callable[[Any], None], values: Iterable[Any], count: int) -> list[tuple[float, float]]:
    """Seconds of each move that changed something, on the wall's clock and of the processor."""
    seconds: list[tuple[float, float]] = []
    moves = list(itertools.islice(values, count + 1))
    for number, value in enumerate(moves):
        before = _shown(panel.panel)
        began, cpu = time.perf_counter(), time.process_time()
        move(value)
        spent = time.perf_counter() - began, time.process_time() - cpu
        if (number or len(moves) < 4) and _shown(panel.panel) != before:
            seconds.append(spent)
    assert len(seconds) > len(moves) // 2, "hardly a move changed what is shown"
    return seconds


def main(count: int) -> None:
    print(json.dumps({name: _moves(panel, move, values, count) for name, panel, move, values in _cases()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
