"""`sweep` and `read-many`: tables of many runs, and of many captures."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_command, add_wire_options, keys, ports
from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, text_beside

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    command = add_command(commands, "sweep", "every combination of some parameters, with many seeds each", _sweep)
    command.add_argument("axis", nargs="+", metavar="NAME=V,V", help="a parameter of lab.sweep and its values")
    command.add_argument("--seeds", type=int, default=10, metavar="N", help="runs of each combination (%(default)s)")
    command.add_argument("-o", "--out", metavar="PARQUET", help="keep runs here; the same command goes on from there")
    command.add_argument("--workers", type=int, metavar="N", help="processes; as many as cores by default")
    command.add_argument("--limit", type=int, default=100_000, metavar="N", help="runs at the most (%(default)s)")
    command.add_argument("--value", default="delivered", metavar="COLUMN", help="what the map shows (%(default)s)")
    command.add_argument("--plot", metavar="OUT", help="write the map of the first two parameters (png, svg, pdf)")
    many = add_command(commands, "read-many", "the updates of many captures as one table", _read_many)
    many.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or a pattern")
    many.add_argument("-o", "--out", metavar="CSV", help="where to; standard output by default")
    many.add_argument("--workers", type=int, metavar="N", help="processes; as many as cores by default")
    add_wire_options(many)


def _sweep(options: argparse.Namespace) -> int:
    """`sweep`: the summary as CSV; 0 once every run has ended, however it did."""
    if options.plot:
        from lwm2m_lab.show.style import picture_kind

        check_folder(options.plot)
        picture_kind(options.plot)
    if options.out is not None and not options.out.endswith(".parquet"):
        raise BadInput(f"-o is {options.out!r}; a name that ends in .parquet is expected")
    table = lwm2m_lab.sweep(
        seeds=range(options.seeds),
        keep=options.out,
        workers=options.workers,
        limit=options.limit,
        **_axes(options.axis),
    )
    print(table.summary().to_csv(index=False), end="")
    if options.plot:
        from lwm2m_lab.show import save_figure

        save_figure(table.heatmap(value=options.value), options.plot)
    return 0


def _axes(given: Sequence[str]) -> dict[str, Any]:
    """The values of each parameter: numbers where they are numbers, else texts."""
    axes: dict[str, Any] = {}
    for one in given:
        name, is_given, values = one.partition("=")
        if not is_given or not values or name in axes:
            raise BadInput(f"{one!r} is no parameter with its values; NAME=VALUE,VALUE, each once, is expected")
        axes[name.replace("-", "_")] = [_value(value) for value in values.split(",")]
    return axes


def _value(text: str) -> Any:
    try:
        number = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return number if isinstance(number, int | float) else text


def _read_many(options: argparse.Namespace) -> int:
    """`read-many`: 0, files that cannot be read included: their rows say why."""
    if options.out is not None:
        check_folder(options.out)
    opened = {name: value for name, value in keys(options).items() if value}
    table: pd.DataFrame = lwm2m_lab.read_many(options.paths, workers=options.workers, ports=ports(options), **opened)
    if options.out is None:
        print(table.to_csv(index=False), end="")
        return 0
    with text_beside(options.out) as out:
        table.to_csv(out, index=False)
    return 0
