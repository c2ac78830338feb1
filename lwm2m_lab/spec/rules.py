"""The firmware update as a relation: every transition of Object 5 a row, every ambiguity of the standard named.

A row says: in this state this event permits these (state, result) outcomes. A device chooses among them, an analyser
asks whether what it saw is among them; the table does not know who asks. T1 to T32 are the lab's names for the rows.
Where a row stands for several source states, it stands here once for each.

Sources: *figure* is the state diagram of clause E.6.1, *text* the descriptions of the resources in the registered
object files, which differ between versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["AMBIGUITIES", "INTERNAL", "RULES", "VERSIONS", "Ambiguity", "Event", "Outcome", "Rule"]

#: State and Update Result afterwards; None where the result stays as it was.
Outcome = tuple[State, UpdateResult | None]
VERSIONS = ("1.0", "1.1", "1.2")


class Event(StrEnum):
    """What can happen to Object 5; the value is what people say."""

    FIRST_BLOCK = "Write Package, first block"
    PACKAGE = "Write Package, one message"
    PACKAGE_URI = "Write Package URI"
    RESET = "Write the reset value"
    UPDATE = "Execute Update"
    CANCEL = "Execute Cancel"
    PACKAGE_COMPLETE = "package complete and accepted"
    INTEGRITY_FAILURE = "integrity check fails"
    NO_STORAGE = "not enough storage"
    NO_MEMORY = "out of memory"
    CONNECTION_LOST = "connection lost"
    UNSUPPORTED_TYPE = "unsupported package type"
    INVALID_URI = "invalid URI"
    UNSUPPORTED_SCHEME = "unsupported scheme of the URI"
    SENDER_GONE = "sender gone, own time-out"
    DEFERRAL_ENDS = "deferral ends"
    AUTOMATIC_UPGRADE = "automatic upgrade"
    DEFER = "defer after the start"
    INSTALLED = "installation succeeds"
    INSTALL_FAILED = "installation fails"
    REBOOT = "unexpected reboot"


#: Events that no request causes: a judge who sees only the wire must allow for each of them at any time.
INTERNAL = frozenset(Event) - {
    Event.FIRST_BLOCK,
    Event.PACKAGE,
    Event.PACKAGE_URI,
    Event.RESET,
    Event.UPDATE,
    Event.CANCEL,
    Event.REBOOT,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the relation.

    Attributes
    ----------
    id : str
        ``"T1"`` to ``"T32"``.
    source : State
    event : Event
    outcomes : tuple of (State, UpdateResult or None)
        What is permitted afterwards; empty for a row that only refuses.
    versions : frozenset of str
        Object versions in which the row holds.
    response : str or None
        The CoAP code that answers the request; None for an event that is no request. Of a refusal whose code the
        standard does not name, the code of the strict reading.
    clause : str
        Where it stands.
    ambiguities : tuple of str
        ``("A1",)``: readings that differ.
    guard : str
        When it holds, in words.
    refusable : bool
        Whether the device may refuse, leaving state and result as they were.
    results : frozenset of UpdateResult or None
        Results with which the row holds; None for any.
    deliveries : frozenset of int or None
        Values of ``/5/0/9`` with which the row holds; None for any.
    """

    id: str
    source: State
    event: Event
    outcomes: tuple[Outcome, ...]
    clause: str
    versions: frozenset[str] = frozenset(VERSIONS)
    response: str | None = None
    ambiguities: tuple[str, ...] = ()
    guard: str = ""
    refusable: bool = False
    results: frozenset[UpdateResult] | None = None
    deliveries: frozenset[int] | None = None

    @property
    def trigger(self) -> bool:
        """Whether the event is one here; a row without outcomes is a refusal."""
        return bool(self.outcomes)

    def holds(self, version: str, result: UpdateResult, delivery: int) -> bool:
        """Whether the row applies to a device of this object version, with this result and delivery method."""
        return (
            version in self.versions
            and (self.results is None or result in self.results)
            and (self.deliveries is None or delivery in self.deliveries)
        )


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A place where the standard can be read in more than one way.

    Attributes
    ----------
    id, question, known : str
        Name, what is open, and what is known about it.
    """

    id: str
    question: str
    known: str


_IDLE, _DOWNLOADING, _DOWNLOADED, _UPDATING = State
_R = UpdateResult
_LATER = frozenset({"1.1", "1.2"})
_PUSH, _PULL = frozenset({1, 2}), frozenset({0, 2})
_FIGURE, _TEXT3 = "E.6.1, figure", "Object 5, resource 3"


def _download_fails(id: str, event: Event, result: UpdateResult, **more: object) -> Rule:
    """Any failure of a download: Idle, with its reason."""
    return Rule(id, _DOWNLOADING, event, ((_IDLE, result),), f"{_FIGURE}; Object 5, resource 5", **more)  # type: ignore[arg-type]


def _refused(id: str, event: Event, *sources: State, clause: str, **more: object) -> tuple[Rule, ...]:
    """A request that is no trigger in these states."""
    return tuple(Rule(id, source, event, (), clause, response="4.05", **more) for source in sources)  # type: ignore[arg-type]


#: Every transition, in the order of its number.
RULES: tuple[Rule, ...] = (
    Rule(
        "T1", _IDLE, Event.FIRST_BLOCK, ((_DOWNLOADING, _R.INITIAL),), f"{_FIGURE}; {_TEXT3}", response="2.31",
        ambiguities=("A4", "A8", "A11"), guard="push is offered in /5/0/9", deliveries=_PUSH,
    ),
    Rule(
        "T2", _IDLE, Event.PACKAGE, ((_DOWNLOADING, _R.INITIAL),), _FIGURE, response="2.04",
        ambiguities=("A4", "A8", "A11"), guard="push is offered in /5/0/9; not the reset value", deliveries=_PUSH,
    ),
    Rule(
        "T3", _IDLE, Event.PACKAGE_URI, ((_DOWNLOADING, _R.INITIAL),), f"{_FIGURE}; Object 5, resource 1",
        response="2.04", ambiguities=("A4", "A8"), guard="pull is offered in /5/0/9; the URI is not empty",
        deliveries=_PULL,
    ),
    Rule(
        "T4", _IDLE, Event.RESET, ((_IDLE, _R.INITIAL),), f"{_TEXT3}; ETS int-755, int-756", response="2.04",
        ambiguities=("A5", "A10"),
    ),
    Rule("T5", _DOWNLOADING, Event.PACKAGE_COMPLETE, ((_DOWNLOADED, _R.INITIAL),), f"{_FIGURE}; {_TEXT3}"),
    _download_fails("T6", Event.INTEGRITY_FAILURE, _R.INTEGRITY_FAILED, ambiguities=("A3", "A15")),
    _download_fails("T7", Event.NO_STORAGE, _R.NO_STORAGE, ambiguities=("A15",)),
    _download_fails("T8", Event.NO_MEMORY, _R.OUT_OF_MEMORY, ambiguities=("A15",)),
    _download_fails("T9", Event.CONNECTION_LOST, _R.CONNECTION_LOST, guard="after the device's own retries"),
    _download_fails("T10", Event.UNSUPPORTED_TYPE, _R.UNSUPPORTED_TYPE, ambiguities=("A15",)),
    _download_fails("T11", Event.INVALID_URI, _R.INVALID_URI, ambiguities=("A4",)),
    Rule(
        "T11", _IDLE, Event.INVALID_URI, ((_IDLE, _R.INVALID_URI),), "E.6.1", ambiguities=("A4", "A9"),
        guard="a URI that does not resolve, without passing through Downloading",
    ),
    _download_fails("T12", Event.UNSUPPORTED_SCHEME, _R.UNSUPPORTED_PROTOCOL, ambiguities=("A4",)),
    Rule(
        "T12", _IDLE, Event.UNSUPPORTED_SCHEME, ((_IDLE, _R.UNSUPPORTED_PROTOCOL),), "E.6.1",
        ambiguities=("A4", "A9"), guard="a scheme refused at once, without passing through Downloading",
    ),
    Rule(
        "T13", _DOWNLOADING, Event.RESET, ((_IDLE, _R.INITIAL),), _TEXT3, response="2.04",
        ambiguities=("A1", "A5", "A10"), refusable=True,
    ),
    Rule(
        "T13", _UPDATING, Event.RESET, ((_IDLE, _R.INITIAL),), _TEXT3, response="2.04",
        ambiguities=("A1", "A5", "A10"), refusable=True,
    ),
    Rule(
        "T14", _DOWNLOADING, Event.CANCEL, ((_IDLE, _R.CANCELLED),), f"{_FIGURE}; Object 5, resource 10", _LATER,
        response="2.04", guard="the device has resource 10",
    ),
    Rule(
        "T15", _DOWNLOADED, Event.UPDATE, ((_UPDATING, _R.INITIAL),), f"{_FIGURE}; Object 5, resources 2 and 3",
        response="2.04", ambiguities=("A8",), guard="the installation starts now",
    ),
    Rule(
        "T16", _DOWNLOADED, Event.UPDATE, ((_DOWNLOADED, _R.DEFERRED),), f"{_FIGURE}; {_TEXT3}", _LATER,
        response="2.04", ambiguities=("A12",), guard="the user may defer and does",
    ),
    Rule(
        "T17", _DOWNLOADED, Event.DEFERRAL_ENDS, ((_UPDATING, _R.INITIAL),), f"{_FIGURE}; Object 5, resource 13",
        _LATER, guard="the update was deferred", results=frozenset({_R.DEFERRED}),
    ),
    Rule(
        "T18", _DOWNLOADED, Event.RESET, ((_IDLE, _R.INITIAL),), f"{_FIGURE}; {_TEXT3}", response="2.04",
        ambiguities=("A5", "A10"),
    ),
    Rule(
        "T19", _DOWNLOADED, Event.CANCEL, ((_IDLE, _R.CANCELLED),), f"{_FIGURE}; Object 5, resource 10", _LATER,
        response="2.04", guard="the device has resource 10",
    ),
    Rule(
        "T20", _DOWNLOADED, Event.AUTOMATIC_UPGRADE, ((_UPDATING, _R.INITIAL),), "Object 5, resource 14",
        frozenset({"1.2"}), guard="/5/0/14 is true",
    ),
    Rule("T21", _UPDATING, Event.INSTALLED, ((_IDLE, _R.SUCCESS),), f"{_FIGURE}; {_TEXT3}; E.6 for /3/0/3"),
    Rule(
        "T22", _UPDATING, Event.INTEGRITY_FAILURE, ((_IDLE, _R.INTEGRITY_FAILED),), f"{_FIGURE}; {_TEXT3}", _LATER,
        ambiguities=("A2",),
    ),
    Rule(
        "T22", _UPDATING, Event.INTEGRITY_FAILURE,
        ((_DOWNLOADED, _R.INTEGRITY_FAILED), (_IDLE, _R.INTEGRITY_FAILED)), f"{_FIGURE}; {_TEXT3}",
        frozenset({"1.0"}), ambiguities=("A2",),
    ),
    Rule(
        "T23", _UPDATING, Event.INSTALL_FAILED, ((_DOWNLOADED, _R.UPDATE_FAILED),), f"{_FIGURE}; {_TEXT3}; ETS int-779",
        ambiguities=("A2",), guard="the package is kept",
    ),
    Rule(
        "T24", _UPDATING, Event.INSTALL_FAILED, ((_IDLE, _R.UPDATE_FAILED),), f"{_FIGURE}; {_TEXT3} since 1.1",
        ambiguities=("A2",), guard="the package is of no more use",
    ),
    *_refused("T25", Event.CANCEL, _UPDATING, clause="Object 5, resource 10", versions=_LATER),
    *_refused("T26", Event.UPDATE, _IDLE, _DOWNLOADING, _UPDATING, clause="Object 5, resource 2; ETS int-772"),
    Rule(
        "T27", _DOWNLOADING, Event.FIRST_BLOCK, ((_DOWNLOADING, _R.INITIAL),), "E.6.1; RFC 7959, 2.5",
        response="2.31", ambiguities=("A14",), refusable=True, guard="a new block 0 begins the same push anew",
    ),
    *_refused("T27", Event.FIRST_BLOCK, _DOWNLOADED, _UPDATING, clause="E.6.1"),
    *_refused("T27", Event.PACKAGE, _DOWNLOADING, _DOWNLOADED, _UPDATING, clause="E.6.1"),
    *_refused("T27", Event.PACKAGE_URI, _DOWNLOADING, _DOWNLOADED, _UPDATING, clause="E.6.1"),
    *_refused(
        "T28a", Event.CANCEL, _IDLE, clause="Object 5, resource 10", versions=_LATER, results=frozenset({_R.SUCCESS}),
        guard="the installation is complete",
    ),
    *_refused(
        "T28b", Event.CANCEL, _IDLE, clause="Object 5, resource 10", versions=_LATER, ambiguities=("A7",),
        results=frozenset(_R) - {_R.SUCCESS},
    ),
    Rule(
        "T29", _IDLE, Event.REBOOT, ((_IDLE, None), (_IDLE, _R.INITIAL)), "not specified since 1.0",
        ambiguities=("A6",),
    ),
    Rule(
        "T29", _DOWNLOADING, Event.REBOOT, ((_IDLE, None), (_DOWNLOADING, None), (_IDLE, _R.CONNECTION_LOST)),
        "not specified since 1.0", ambiguities=("A6",),
    ),
    Rule(
        "T29", _DOWNLOADED, Event.REBOOT, ((_DOWNLOADED, None), (_IDLE, None), (_IDLE, _R.INITIAL)),
        "not specified since 1.0", ambiguities=("A6",),
    ),
    Rule(
        "T29", _UPDATING, Event.REBOOT, ((_UPDATING, None), (_IDLE, _R.INITIAL), (_IDLE, _R.UPDATE_FAILED)),
        "not specified since 1.0", ambiguities=("A6",),
    ),
    Rule(
        "T30", _UPDATING, Event.DEFER, ((_DOWNLOADED, _R.DEFERRED),), "not in the text; seen in the field", _LATER,
        ambiguities=("A12",),
    ),
    Rule(
        "T31", _IDLE, Event.FIRST_BLOCK, (), "Object 5, resource 9", response="4.05",
        guard="push is not offered in /5/0/9", deliveries=frozenset({0}),
    ),
    Rule(
        "T31", _IDLE, Event.PACKAGE, (), "Object 5, resource 9", response="4.05", guard="push is not offered in /5/0/9",
        deliveries=frozenset({0}),
    ),
    Rule(
        "T31", _IDLE, Event.PACKAGE_URI, (), "Object 5, resource 9", response="4.05",
        guard="pull is not offered in /5/0/9", deliveries=frozenset({1}),
    ),
    Rule(
        "T32", _DOWNLOADING, Event.SENDER_GONE, ((_IDLE, _R.CONNECTION_LOST), (_DOWNLOADING, None)),
        "not drawn for push; RFC 7959, 2.5", ambiguities=("A13",),
    ),
)  # fmt: skip


def _ambiguity(id: str, question: str, known: str) -> tuple[str, Ambiguity]:
    return id, Ambiguity(id, question, known)


#: Where the standard can be read in more than one way; no device fails on one of these.
AMBIGUITIES: Mapping[str, Ambiguity] = MappingProxyType(
    dict(
        (
            _ambiguity(
                "A1",
                "Does a reset work while Downloading or Updating?",
                "The text of resource 3 has no guard; the figure resets only from Downloaded. Anjay takes it in 0, 1 "
                "and 2, Zephyr in 2.",
            ),
            _ambiguity(
                "A2",
                "Does a failed installation end in Idle or in Downloaded?",
                "1.0 says Downloaded, the figure shows both, later texts leave it to the cause; ETS int-779 asks for "
                "Downloaded and Result 8.",
            ),
            _ambiguity(
                "A3",
                "What answers the last block of a push that fails its integrity check?",
                "Not said. Anjay answers 2.04 and shows Result 5, Zephyr 4.08 and Result 5.",
            ),
            _ambiguity(
                "A4",
                "Must State 1 be visible?",
                "ETS int-773 to int-778 expect to see it; Anjay shows none during a push or for an invalid URI.",
            ),
            _ambiguity(
                "A5",
                "Is the reset value of Package the empty string or one byte 0x00?",
                "Empty in the first 1.0, 0x00 since 1.0.1. Zephyr takes both in Downloaded, Anjay 0x00.",
            ),
            _ambiguity(
                "A6",
                "What becomes of State and Result over a reboot?",
                "Drafts of 2016 said it, 1.0 does not. Without keeping them over the update's own reboot no device "
                "could report Result 1.",
            ),
            _ambiguity("A7", "What answers Cancel in Idle?", "Named for Result 1 alone; Anjay answers 4.05."),
            _ambiguity(
                "A8",
                "When is the result set back to 0?",
                "At the start of download or update, read as both. Zephyr leaves it at Execute, Anjay's push resets "
                "at its end.",
            ),
            _ambiguity(
                "A9",
                "May a refused request change the result?",
                "ETS int-772 says no; Anjay refuses a scheme with 4.00 and shows Result 9.",
            ),
            _ambiguity(
                "A10", "Does Package URI keep its value after success or reset?", "Not said. Anjay clears it on reset."
            ),
            _ambiguity(
                "A11",
                "Is the package written by PUT or by POST?",
                "Write is PUT, the standard's own example uses POST; the Content-Format tells a Write from an Execute.",
            ),
            _ambiguity(
                "A12",
                "Does a deferred update pass through Updating?",
                "The text says State stays; Anjay shows 2, 3, 2.",
            ),
            _ambiguity(
                "A13",
                "What becomes of a push whose sender has gone?",
                "Nothing tells the receiver. Seen: 5.03 to every reading, State 1 for good, Result 4 by an own timer.",
            ),
            _ambiguity(
                "A14",
                "Is block 0 again while Downloading a restart or no trigger?",
                "RFC 7959 lets a new block 0 replace the old body; E.6.1 rejects what is no trigger.",
            ),
            _ambiguity(
                "A15",
                "May a failure show in the code of a block's response?",
                "E.6.1 has failures in Update Result only, RFC 7959 has 4.08 and 4.13. The result must be right in "
                "either case.",
            ),
        )
    )
)
