"""What is remembered of DTLS sessions: everything that a key proved, and the latest of the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from lwm2m_lab.wire.dtls_sessions import Session

__all__ = ["MOST_UNPROVED", "Remembered", "Shelf"]

#: What no key has proved is remembered up to this number.
MOST_UNPROVED = 16_384
#: Sessions between the same two addresses, or with the same Connection ID, whose keys are tried on a record.
MOST_TRIALS = 8


class Provable(Protocol):
    @property
    def opened(self) -> bool: ...


V = TypeVar("V", bound=Provable)


class Remembered(Generic[V]):
    """What is known by some key: everything that is proved, and the latest of the rest."""

    def __init__(self) -> None:
        self.proved: dict[Any, V] = {}
        self.recent: OrderedDict[Any, V] = OrderedDict()
        self.forgotten = 0

    def get(self, key: object) -> V | None:
        if key in self.recent:
            self.recent.move_to_end(key)
            return self.recent[key]
        return self.proved.get(key)

    def put(self, key: object, value: V) -> None:
        """Keep a value; what has proved itself stays when others are pushed out."""
        self.proved.pop(key, None)
        self.recent[key] = value
        while len(self.recent) > MOST_UNPROVED:
            oldest, known = self.recent.popitem(last=False)
            if known.opened:
                self.proved[oldest] = known
            else:
                self.forgotten += 1

    def values(self) -> Iterator[V]:
        yield from self.proved.values()
        yield from self.recent.values()


@dataclass(eq=False)
class Shelf:
    """Sessions under one key, the newest first: between two addresses, or with one Connection ID."""

    sessions: list[tuple[Session, bytes | int]] = field(default_factory=list)

    def add(self, session: Session, mark: bytes | int) -> None:
        self.sessions = [(session, mark), *(one for one in self.sessions if one[0] is not session)][:MOST_TRIALS]

    @property
    def opened(self) -> bool:
        return any(session.opened for session, _ in self.sessions)
