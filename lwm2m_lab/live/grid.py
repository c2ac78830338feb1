"""The grid of a sweep: which runs there are, what each is called in the table, and by which key it is found again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import lwm2m_lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.experiment import SIMULATED, Experiment, as_image, server_options, source_in_repository
from lwm2m_lab.live.link import LINK_FIELDS, LINKS, Link, link_label
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.trace.bound import PathModel, lower_bound
from lwm2m_lab.trace.lossy import Lossy

__all__ = ["PARAMETERS", "Combination", "Grid"]

_DEFAULTS: dict[str, Any] = {
    "delivery": "push", "image": None, "version": "2.0.0", "size": 20_000, "block_size": 1024, "link": Link(),
    "device": DeviceOptions(), "method": "PUT", "package_format": "opaque", "ack_timeout": 2.0, "max_retransmit": 4,
    "patience": None, "time_limit": None,
}  # fmt: skip
#: What may be varied; the fields of a link replace those of `link`.
PARAMETERS = (*_DEFAULTS, *LINK_FIELDS)
#: Values of one parameter.
MOST = 100_000
#: Bytes of the tokens of aiocoap in a run.
_TOKEN = 2


@dataclass(frozen=True)
class Combination:
    """One combination of the parameters, for all its seeds.

    Attributes
    ----------
    labels : dict
        What the table says of the parameters that were given.
    experiment : Experiment
        With the first seed; `with_seed` gives the others.
    text : str
        All parameters as JSON, those too that were not given: two combinations that run alike have the same.
    """

    labels: dict[str, Any]
    experiment: Experiment
    text: str

    def with_seed(self, seed: int) -> Experiment:
        """The same with another seed."""
        return dataclasses.replace(self.experiment, seed=seed)

    def key(self, seed: int) -> str:
        """By which a finished run is found again."""
        return hashlib.sha256(f"{self.text} {seed}".encode()).hexdigest()[:32]

    @functools.cached_property
    def formula(self) -> dict[str, float]:
        """What the closed formula says: `bound_s`, `expected_s`, `expected_delivered`."""
        one = self.experiment
        up, down = ((one.link or Link()).path(way) for way in ("up", "down"))
        path = PathModel(
            rtt0_s=up.delay + down.delay + (up.jitter + down.jitter) / 2, down_bps=down.rate, up_bps=up.rate
        )
        block_size = min(one.server.block_size, one.device.block_size)
        bound = lower_bound(
            one.package.size, block_size=block_size, path=path, delivery=one.delivery, token_length=_TOKEN,
            uri_path=next(iter(one.files), None),
        )  # fmt: skip
        timers = one.timers
        loss = Lossy(
            up=up.loss, down=down.loss, ack_timeout=timers.ack_timeout, ack_random_factor=timers.ack_random_factor,
            max_retransmit=timers.max_retransmit,
        )  # fmt: skip
        blocks = -(-one.package.size // block_size)
        return {
            "bound_s": bound,
            "expected_s": bound + blocks * loss.extra_s,
            "expected_delivered": loss.delivered(blocks),
        }


class Grid:
    """Every combination of the values, each with every seed.

    Parameters
    ----------
    given : mapping
        Values by the names of `PARAMETERS`: one, a sequence of them, or a mapping of labels to them.
    seeds : int or sequence of int
    model : str
        Of the radio, which a key depends on.

    Raises
    ------
    BadInput
        For a name or value that no run takes.

    Examples
    --------
    >>> grid = Grid({"block_size": [256, 1024], "loss": [0.0, 0.1]}, seeds=range(10), model="nb-iot")
    >>> len(grid), [one.labels for one in grid.combinations()][1]
    (40, {'block_size': 256, 'loss': 0.1})
    """

    def __init__(self, given: Mapping[str, Any], *, seeds: int | Iterable[int], model: str) -> None:
        unknown = [name for name in given if name not in PARAMETERS]
        if unknown:
            raise BadInput(f"a run has no parameter {unknown[0]!r}; one of {', '.join(PARAMETERS)} is expected")
        if given.get("image") is not None and {"size", "version"} & set(given):
            raise BadInput("image is given beside its size or version; the one or the other is expected")
        self.axes = {name: _values(name, value) for name, value in given.items()}
        self.seeds = _seeds(seeds)
        self.model = model

    def __len__(self) -> int:
        # `len` of more than sys.maxsize is an error in Python; `runs` is the number whatever its size.
        return self.runs

    @property
    def runs(self) -> int:
        """How many there are."""
        number = len(self.seeds)
        for values in self.axes.values():
            number *= len(values)
        return number

    def combinations(self) -> Iterator[Combination]:
        """Each combination, in the order of the parameters as they were given."""
        for values in itertools.product(*self.axes.values()):
            named = dict(zip(self.axes, values, strict=True))
            yield self._combination({name: label for name, (label, _) in named.items()},
                                    {name: value for name, (_, value) in named.items()})  # fmt: skip

    def _combination(self, labels: dict[str, Any], values: dict[str, Any]) -> Combination:
        settings = {**_DEFAULTS, **values}
        changed = {name: values[name] for name in LINK_FIELDS if name in values}
        link = dataclasses.replace(settings["link"], **changed)
        experiment = _experiment(settings, link, self.seeds[0])
        package = experiment.package
        told = {
            "lab": lwm2m_lab.__version__, "delivery": experiment.delivery, "image": package.sha256, "link": repr(link),
            "server": repr(experiment.server), "timers": repr(experiment.timers), "device": repr(experiment.device),
            "model": self.model,
        }  # fmt: skip
        return Combination(labels, experiment, json.dumps(told))


def _experiment(settings: Mapping[str, Any], link: Link, seed: int) -> Experiment:
    """What `push` and `pull` would run with these settings."""
    if settings["delivery"] not in ("push", "pull"):
        raise BadInput(f"delivery is {settings['delivery']!r}; 'push' or 'pull' is expected")
    package = as_image(settings["image"], settings["version"], settings["size"])
    more = {"method": settings["method"], "package_format": settings["package_format"]}
    uri, files = source_in_repository(package, SIMULATED) if settings["delivery"] == "pull" else (None, {})
    return Experiment(
        package,
        server=server_options(
            "simulated", settings["block_size"], settings["patience"], settings["time_limit"], **more
        ),
        timers=Timers(ack_timeout=settings["ack_timeout"], max_retransmit=settings["max_retransmit"]),
        device=settings["device"],
        uri=uri,
        files=files,
        link=link,
        seed=seed,
    )


# ---------------------------------------------------------------- values and what they are called


def _values(name: str, given: Any) -> tuple[tuple[Any, Any], ...]:
    """(label, value) of each value of one parameter."""
    if name in ("link", "device") and isinstance(given, Mapping):
        pairs = [(str(label), _of_kind(name, value)) for label, value in given.items()]
    elif isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable) or _is_outages(name, given):
        pairs = [_labelled(name, given)]
    elif isinstance(given, Sized) and len(given) > MOST:
        raise BadInput(f"{name} has {len(given)} values; {MOST} of one parameter are expected at the most")
    else:
        pairs = [_labelled(name, value) for value in given]
    if not pairs:
        raise BadInput(f"{name} has no value to run with; one, or a sequence of them, is expected")
    labels = [repr(label) for label, _ in pairs]
    again = [label for number, label in enumerate(labels) if label in labels[:number]]
    if again:
        raise BadInput(f"{name} has {again[0]} twice; each value once is expected")
    return tuple(pairs)


def _is_outages(name: str, given: Any) -> bool:
    """Whether these are the outages of one link: pairs of numbers."""
    return name == "outages" and all(isinstance(start, int | float) for start, *_ in given)


def _labelled(name: str, value: Any) -> tuple[Any, Any]:
    value = value.item() if hasattr(value, "item") and callable(value.item) else value
    value = _of_kind(name, value)
    if name == "link":
        return link_label(value), value
    if name == "device":
        return _device_label(value), value
    if name == "image":
        return None if value is None else f"{value.version}, {value.size} bytes", value
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value), value
    return value, value


def _of_kind(name: str, value: Any) -> Any:
    """A link by its name, an image from its file; else the value, if it is of the kind that is wanted."""
    if name == "link" and isinstance(value, str) and value in LINKS:
        return LINKS[value]()
    if name == "image" and value is not None:
        return as_image(value, "", 0)
    wanted: type | tuple[type, ...] = {"link": Link, "device": DeviceOptions}.get(name, object)
    if not isinstance(value, wanted):
        named = f"lab.Link, {', '.join(map(repr, LINKS))}" if name == "link" else "lab.DeviceOptions"
        raise BadInput(f"{name} is {value!r}; {named} or several of them are expected")
    return value


def _device_label(device: DeviceOptions) -> str:
    usual = DeviceOptions()
    told = [
        f"{field.name}={getattr(device, field.name)!r}"
        for field in dataclasses.fields(device)
        if getattr(device, field.name) != getattr(usual, field.name)
    ]
    return ", ".join(told) or "usual"


def _seeds(seeds: int | Iterable[int]) -> Sequence[int]:
    """One seed or several; a range is left as it is, however long."""
    if isinstance(seeds, range):
        several: Sequence[int] = seeds
    elif isinstance(seeds, Iterable) and not isinstance(seeds, str | bytes):
        several = [seed.item() if hasattr(seed, "item") else seed for seed in seeds]
    else:
        several = [seeds]  # type: ignore[list-item]  # refused below
    if not len(several):
        raise BadInput("seeds is empty; one whole number or several are expected")
    if not isinstance(several, range):
        wrong = [seed for seed in several if isinstance(seed, bool) or not isinstance(seed, int)]
        if wrong:
            raise BadInput(f"seeds has {wrong[0]!r}; whole numbers are expected")
        if len(set(several)) < len(several):
            raise BadInput("seeds has one of them twice; each once is expected")
    return several
