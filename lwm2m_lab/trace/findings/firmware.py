"""What devices get wrong in an update (the catalogue of failures from the field), each by what it shows on the wire."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.following import RESULT, STATE
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.pulls import uri_target
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

ERRORS = tuple(range(2, 10))
#: What a server waits at most for an answer (MAX_TRANSMIT_WAIT, RFC 7252, 4.8.2), seconds.
MAX_TRANSMIT_WAIT = 93.0


@rule(
    "F3",
    "the result survives the reboot",
    clause="Object 5, resources 3 and 5; ambiguity A6",
    certainty="suspected",
    after=("F19",),
)
def result_forgotten(case: Case) -> Iterator[Conclusion]:
    """State 0 with Result 0 after the installation: the device forgot; /3/0/3 tells whether it succeeded."""
    if not len(case.again):
        return
    after = case.values(RESULT).after(case.again.first("frame"))
    idle = case.values(STATE).after(case.again.first("frame")).where(value=0)
    if not len(after) or not len(idle):
        return
    told = case.values(RESULT).after(case.installs.first("frame")).before(case.again.first("frame"))
    if (after.value == 0).all() and not (told.value != 0).any():
        yield (
            Verdict.INCONCLUSIVE,
            "after the reboot State is 0 and Update Result 0: the device forgot its result, and only /3/0/3 tells",
            after.frame,
        )
    else:
        yield Verdict.PASS, "the result was told before the reboot, or kept over it", after.frame[:1]


@rule("F4", "no success before the installation", clause="LwM2M E.6.1; Object 5, resource 5, value 1")
def success_before_execute(case: Case) -> Iterator[Conclusion]:
    """Result 1 says that the new firmware was installed; at the end of a download nothing is."""
    first, results = case.update_executes.first("frame"), case.values(RESULT)
    until = np.inf if first is None else first
    fresh = results.before(until).where(value=1).first("frame") if case.before(RESULT) != 1 else None
    ready = case.values(STATE).before(until).where(value=2).last("frame")
    if fresh is not None and ready is not None and (first is not None or ready > fresh):
        end = f"before the Execute in frame {first}" if first else f"and State 2 in frame {ready}: nothing was executed"
        yield Verdict.FAIL, f"Update Result 1 stands in frame {fresh}, {end}", [fresh, first or ready]
    elif first is not None and len(results):
        yield Verdict.PASS, "no success was reported before the Execute", [first]


@rule(
    "F5",
    "an accepted Execute starts the installation",
    clause="LwM2M E.6.1, T15",
    certainty="suspected",
    after=("F18", "F20", "F2", "F4", "T26"),
)
def execute_without_effect(case: Case) -> Iterator[Conclusion]:
    """2.04, and then neither State 3 nor a registration nor a result."""
    frame = case.installs.first("frame")
    if frame is None:
        return
    states, results = case.values(STATE).after(frame), case.values(RESULT).after(frame)
    moved = (states.value != 2).any() or (results.value != 0).any()
    if moved or len(case.registrations.after(frame)):
        yield Verdict.PASS, "the Execute of Update had an effect", [frame]
        return
    seen = f"State is still 2 in frame {states.last('frame')}" if len(states) else "no State was read afterwards"
    yield (
        Verdict.INCONCLUSIVE,
        f"the Execute in frame {frame} was accepted, and neither State 3 nor a registration nor a result followed "
        f"({seen}); a reading of /5/0/3 and /5/0/5 later on would decide",
        [frame, *states.frame[-1:].tolist()],
    )


@rule(
    "F25",
    "a package that was taken shows",
    clause="LwM2M E.6.1; Object 5, resources 3 and 5",
    certainty="suspected",
    after=("F20", "W8", "O5"),
)
def package_without_trace(case: Case) -> Iterator[Conclusion]:
    """The last block is answered 2.04, and the device says Idle and Initial value: neither a package nor a reason."""
    evidence = case.update.evidence
    done = evidence.last_frame
    gone = min(case.resets.after(done).first("frame", np.inf), case.executes.after(done).first("frame", np.inf))
    gone = min(gone, case.registers.after(done).first("frame", np.inf))
    states, results = (case.values(path).after(done).before(gone) for path in (STATE, RESULT))
    if evidence.kind != "push" or not evidence.accepted or not len(states) or not len(results):
        return
    if (states.value != 0).any() or (results.value != 0).any():
        yield Verdict.PASS, "the package that was taken shows in State or Update Result", [done, *states.frame[:1]]
        return
    frames = [done, *states.frame.tolist(), *results.frame.tolist()]
    yield (
        Verdict.FAIL,
        f"the package was taken in frame {done}, and afterwards State is 0 Idle and Update Result 0 (frames "
        f"{states.last('frame')} and {results.last('frame')}): neither Downloaded nor a reason; nothing behind Object "
        "5 looks at packages, or somebody else has reset it",
        frames,
    )


@rule("F7", "Result 8 leaves State 0 or 2", clause="Object 5, resource 3; ambiguity A2")
def state_after_failure(case: Case) -> Iterator[Conclusion]:
    """Which of the two is drawn differently between drafts and object versions: both are told, neither fails."""
    failed = case.values(RESULT).where(value=8)
    if not len(failed) or case.before(RESULT) == 8:
        return
    state = case.values(STATE).last("value")
    if state in (0, 2):
        kept = "the package is kept" if state == 2 else "the package is given up"
        yield (
            Verdict.PASS,
            f"Update Result 8 with State {State(state)}: {kept}, one of the two readings of A2",
            [failed.first("frame"), case.values(STATE).last("frame")],
        )


@rule("F8", "an error result stays until the next process", clause="Object 5, resource 5, value 0")
def result_overwritten(case: Case) -> Iterator[Conclusion]:
    """Results are kept until the next Write or Execute sets 0; a late change of State must not reset them."""
    results = case.values(RESULT)
    errors = results.where(value=ERRORS)
    old = case.before(RESULT)
    registers = case.registers.frame
    for frame, value in errors.each("frame", "value"):
        changed = _changed_later(case, frame, value)
        if value == old or not len(changed):
            continue
        at, new = changed.first("frame"), changed.first("value")
        writes = case.delivery[(case.delivery["_code"] != 1).astype(bool)].frame
        causes = np.concatenate([writes, case.executes.frame, case.resets.frame])
        if ((causes > frame) & (causes < at)).any() or _late(case, frame, at):
            return
        sentence = f"Update Result {UpdateResult(value)} in frame {frame} has become {new} in frame {at}"
        if ((registers > frame) & (registers < at)).any():
            yield (
                Verdict.INCONCLUSIVE,
                f"{sentence}, after a new registration: what survives a reboot is not specified (A6)",
                [frame, at],
            )
        else:
            yield Verdict.FAIL, f"{sentence}, and no Write or Execute lies between: the error is lost", [frame, at]
        return
    if len(errors):
        yield Verdict.PASS, "the error result stays", errors.frame[:1]


def _changed_later(case: Case, frame: int, value: int) -> Rows:
    """Other values than this one that are of a later moment: read later, or told after this one was told.

    A reading overtakes notifications that wait, and a repeated request is answered as its first copy was.
    """
    results = case.values(RESULT)
    told = results.where(how=("notify", "send"))
    told_from = told[(told.frame >= frame) & (told.value == value)].first("frame", np.inf)
    asked = dict(case.exchanges.each("response_frame", "frame"))
    later = results.after(frame)
    later = later[later.value != value]
    by_notification = np.isin(later.frame, told.frame)
    begins = np.array([asked.get(at, at) for at in later.frame.tolist()], np.int64)
    chosen: NDArray[np.bool_] = np.where(by_notification, later.frame > told_from, begins > frame).astype(bool)
    changed: Rows = later[chosen]
    return changed


def _late(case: Case, frame: int, at: int) -> bool:
    """Whether an error was told late: more than one process had begun by then, and the second one sets 0."""
    told = case.values(RESULT).where(how=("notify", "send"))
    value = case.values(RESULT).where(frame=frame).last("value")
    told_at = told[(told.frame >= frame) & (told.value == value)].first("frame", np.inf)
    if told_at >= at:
        return False
    since = told.before(told_at).last("frame", 0)
    writes = case.delivery[(case.delivery["_code"] != 1).astype(bool)]
    begun = np.concatenate([writes[writes.block1_num <= 0].frame, case.executes.frame, case.resets.frame])
    return int(((begun > since) & (begun < at)).sum()) > 1


@rule("F9", "an empty Package URI resets", clause="Object 5, resource 3: writing an empty string to Package URI")
def empty_uri_downloads(case: Case) -> Iterator[Conclusion]:
    """The empty string resets the state machine; a device that takes it for a URI begins a download."""
    resets = case.resets[(case.resets.uri_path == "/5/0/1").astype(bool)]
    if not len(resets) or not resets.first("response_code", "") or resets.first("response_code")[0] != "2":
        return
    frame = resets.first("frame")
    began = case.update.frames[0]
    writes = case.delivery[(case.delivery["_code"] != 1).astype(bool)].frame
    end = min([one for one in writes.tolist() if one > frame], default=case.update.until)
    states = case.own_values(STATE)
    before, later = states.before(frame).last("value"), states.after(frame).before(end).where(value=1)
    gets = case.delivery.where(code="0.01").after(frame).before(end)
    over = frame < began or case.update.evidence.accepted is not None
    if over and before != 1 and (len(later) or len(gets)):
        shown = gets.first("frame") if len(gets) else later.first("frame")
        what = f"a GET for {gets.first('uri_path')}" if len(gets) else "State 1 Downloading"
        yield (
            Verdict.FAIL,
            f"an empty Package URI was written and accepted in frame {frame}, and {what} follows in frame {shown}",
            [frame, shown],
        )
    else:
        yield Verdict.PASS, f"the empty Package URI in frame {frame} began no download", [frame]


@rule("F10", "the device fetches the URI that was written", clause="Object 5, resource 1")
def uri_cut(case: Case) -> Iterator[Conclusion]:
    """A GET to the beginning of the path: the URI was cut in the device."""
    evidence = case.update.evidence
    if evidence.kind != "pull" or not evidence.uri:
        return
    path, query = uri_target(evidence.uri)[0], _query(evidence.uri)
    # The GETs of a download have one path and query.
    gets = case.delivery[case.delivery["_code"] == 1][:1]
    for frame, asked, said in gets.each("frame", "uri_path", "uri_query"):
        if (asked or "/") != path:
            yield (
                Verdict.FAIL,
                f"{path} was written, and {asked} is asked for in frame {frame}: the URI was cut",
                [evidence.first_frame, frame],
            )
            return
        if (said or "") != query and query.startswith(said or ""):
            yield (
                Verdict.FAIL,
                f"the query {query} was written, and {said or 'none'} is asked with in frame {frame}: the URI was cut",
                [evidence.first_frame, frame],
            )
            return
    if len(gets):
        yield Verdict.PASS, f"the device asks for {path}, as written", gets.frame[:1]


def _query(uri: str) -> str:
    """The query of a URI as its options say it."""
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(uri).query)
    except ValueError:
        return ""


@rule(
    "F13",
    "a protocol that is offered is taken",
    clause="Object 5, resources 5 (value 9) and 8",
    certainty="suspected",
    after=("R8",),
)
def offered_and_refused(case: Case) -> Iterator[Conclusion]:
    """Result 9 for a scheme that stands in /5/0/8: credentials are missing, or the list says more than is built in."""
    refused = case.values(RESULT).where(value=9)
    if case.update.delivery != "pull" or not len(refused) or case.before(RESULT) == 9:
        return
    number, listed = scheme_number(case.update.evidence.uri), case.instances("/5/0/8")
    frame = refused.first("frame")
    if number is not None and number in listed.values():
        yield (
            Verdict.FAIL,
            f"Update Result 9 Unsupported protocol in frame {frame}, and /5/0/8 lists protocol {number}, that of "
            f"{case.update.evidence.uri}; credentials may be missing, or the list says more than is built in",
            [case.update.frames[0], frame],
        )
    else:
        yield Verdict.PASS, f"Update Result 9 in frame {frame}, and /5/0/8 was not seen to list the protocol", [frame]


_SCHEMES = {"coap": 0, "coaps": 1, "http": 2, "https": 3, "coap+tcp": 4, "coaps+tcp": 5}


def scheme_number(uri: str | None) -> int | None:
    """The number of a URI's protocol in /5/0/8; None for one that has none."""
    return _SCHEMES.get((uri or "").partition(":")[0].lower())


@rule("F14", "the package comes in a format that both know", clause="LwM2M TS, 6.4: opaque (42) and TLV (11542)",
      party="server")  # fmt: skip
def package_format(case: Case) -> Iterator[Conclusion]:
    """TLV under the name of opaque puts 2 to 5 bytes before the image; 1542 is the number of drafts."""
    evidence, first = case.update.evidence, case.delivery[:1]
    if evidence.kind != "push" or not len(first):
        return
    form, frame = first.first("content_format"), first.first("frame")
    header = _tlv_header(case) if form in (42, -1) else 0
    if form in (1542, 1543):
        yield (
            Verdict.FAIL,
            f"the package is written with Content-Format {form} in frame {frame}, a number of drafts; 11542 is TLV's",
            [frame],
        )
    elif header:
        yield (
            Verdict.FAIL,
            f"the body begins with a TLV header of {header} bytes around all the rest, and is called Content-Format "
            f"{form if form >= 0 else 'none'} in frame {frame}: the image is stored {header} bytes late",
            [frame],
        )
    elif evidence.final_code == "4.15":
        sentence = f"Content-Format {form} of the package was refused with 4.15 in frame {evidence.last_frame}"
        party: Party = "device" if form == 42 else "server"
        yield Said(Verdict.INCONCLUSIVE, sentence, [frame, evidence.last_frame], party=party)
    else:
        yield Verdict.PASS, f"the package is written with Content-Format {form}", [frame]


def _tlv_header(case: Case) -> int:
    """Length of a TLV header of resource 0 whose value is the whole rest of the package; 0 where there is none."""
    blocks, size = case.blocks, case.update.image_size
    if not len(blocks) or size is None or blocks.first("num") != 0:
        return 0
    head = case.capture.columns.payload(int(blocks.first("_carrier")))[:6]
    # Bits 7-6: 3, a resource with a value; bit 5: id of one byte; bits 4-3: bytes of the length.
    if len(head) < 6 or head[0] & 0xE7 != 0xC0 or head[1] != 0 or not head[0] & 0x18:
        return 0
    count = head[0] >> 3 & 3
    return 2 + count if int.from_bytes(head[2 : 2 + count], "big") == size - 2 - count else 0


@rule(
    "F20", "State is numbered as since 1.0", clause="Object 5, resource 3", certainty="suspected", judges_update=False
)
def old_numbering(case: Case) -> Iterator[Conclusion]:
    """Drafts before 1.0 had 1 Idle, 2 Downloading, 3 Downloaded: such a device begins at 1 and shows 3 too early."""
    states = case.own_values(STATE)
    if not len(states) or case.earlier:
        return
    begin, executed = case.update.frames[0], case.update_executes.first("frame", np.inf)
    registered = case.all_registers.first("frame")
    first = states.before(begin)
    fresh = registered is not None and first.first("value") == 1 and registered < first.first("frame")
    early = states.after(begin).before(executed).where(value=3)
    if fresh and len(early) and not len(states.where(value=0)):
        yield (
            Verdict.FAIL,
            f"State begins at 1 in frame {first.first('frame')} and is 3 in frame {early.first('frame')} before any "
            "Execute: the numbers of drafts before 1.0, one too high",
            [first.first("frame"), early.first("frame")],
        )
    elif fresh:
        yield (
            Verdict.INCONCLUSIVE,
            f"State is 1 in frame {first.first('frame')}, before anything was delivered: the number of Idle in drafts "
            "before 1.0, or a download that goes on",
            [first.first("frame")],
        )
    else:
        yield Verdict.PASS, f"State begins at {states.first('value')}", states.frame[:1]
