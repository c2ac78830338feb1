"""What two captures show of a device, laid side by side: its exchanges by what they are, its values by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.wire.coap import CODES

__all__ = ["Event", "Sides", "messages", "values"]

_GET, _FETCH = 1, 5
#: Method and path, block in words, and which of several alike.
Key = tuple[str, str, int]
#: Frame, time, answer or value, copies.
Event = tuple[int, float, str, int]
#: Frame, time, value, its text, and the name of its path.
Seen = tuple[int, float, str, str, str]
#: What differs, in the one and in the other.
Sides = tuple[str, Event | None, Event | None]


def _events(capture: Capture, endpoint: str | None) -> dict[Key, Event]:
    """What changes something or carries the image: frame, time, answer and copies of each, by what it is."""
    if endpoint is None:
        return {}
    mine = [at for one in capture._updates if one.endpoint == endpoint for at in one.evidence.exchanges]
    positions = np.union1d(capture.of("exchanges", endpoint).index, np.array(mine, np.int64))
    paths, codes = [*capture.columns.categories["uri_path"], ""], capture.columns.categories["code"]
    counts: Counter[tuple[str, str, int]] = Counter()
    found: dict[Key, Event] = {}
    names = ("_code", "_path", "block1_num", "block2_num", "frame", "time", "response_code", "_copies")
    for code, path, push, pull, frame, time, answer, copies in capture.rows("exchanges", positions).each(*names):
        name = paths[path]
        if code in (_GET, _FETCH) and name[1:].split("/", 1)[0].isdecimal():
            continue
        # The server chooses where a registration stands.
        name = "/rd/…" if name.startswith("/rd/") else name
        number = int(max(push, pull))
        what = f"{codes[code]} {name}", f" block {number}" if number >= 0 else "", number
        counts[what] += 1
        answered = answer if isinstance(answer, str) else "no answer"
        found[what[0], what[1], counts[what]] = int(frame), float(time), answered, int(copies)
    return found


def messages(a: Capture, b: Capture, name: str | None, other: str | None) -> tuple[list[Sides], int]:
    """Exchanges that only one has, or that were answered otherwise; and how many are alike."""
    ours, theirs = _events(a, name), _events(b, other)
    found: list[Sides] = []
    alike = 0
    for key in dict.fromkeys([*ours, *theirs]):
        one, two = ours.get(key), theirs.get(key)
        if one is not None and two is not None and one[2] == two[2]:
            alike += 1
            continue
        code, _, path = key[0].partition(" ")
        again = f" (number {key[2]})" if key[2] > 1 else ""
        found.append((f"{CODES.get(code, code)} {path}{key[1]}{again}", one, two))
    return found, alike


def values(a: Capture, b: Capture, name: str | None, other: str | None) -> Iterator[Sides]:
    """The first value of each path at which the sequences part."""
    ours, theirs = _sequences(a, name), _sequences(b, other)
    for path in dict.fromkeys([*ours, *theirs]):
        one, two = ours.get(path, []), theirs.get(path, [])
        if not one or not two:
            # That nobody asked is no difference of the device.
            continue
        at = next((at for at, pair in enumerate(zip(one, two, strict=False)) if pair[0][2] != pair[1][2]), None)
        if at is None and len(one) == len(two):
            continue
        at = min(len(one), len(two)) if at is None else at
        label = (one if at < len(one) else two)[at][4]
        yield f"{path} {label}".rstrip(), _event(one, at), _event(two, at)


def _event(side: list[Seen], at: int) -> Event | None:
    """One value of a sequence, as what is compared."""
    if at >= len(side):
        return None
    frame, time, _, text, _ = side[at]
    return frame, time, text, 1


def _sequences(capture: Capture, endpoint: str | None) -> dict[str, list[Seen]]:
    """Frame, time, value, its text and the name of the path, for each path, repeats dropped."""
    if endpoint is None:
        return {}
    found: dict[str, list[Seen]] = {}
    names = ("frame", "time", "path", "name", "value", "label", "how")
    for frame, time, path, name, value, label, how in capture.of("timeline", endpoint).each(*names):
        if how == "write" or not path.startswith(("/3/", "/5/")):
            continue
        seen = found.setdefault(path, [])
        if not seen or seen[-1][2] != str(value):
            seen.append((int(frame), float(time), str(value), str(label or value), str(name or "")))
    return found
