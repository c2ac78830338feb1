"""The version rule of the change request (V1 to V7): /3/0/3 against the image, never against /5/0/7."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lwm2m_lab.spec.versions import VERSION_CHECKS
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Body, Conclusion, Verdict, rule
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

FIRMWARE_VERSION, PKG_VERSION, STATE, RESULT = "/3/0/3", "/5/0/7", "/5/0/3", "/5/0/5"
SOFTWARE_VERSION = "/3/0/19"


def _check(id: str, *, after: tuple[str, ...] = ()) -> Callable[[Body], Body]:
    """Register a rule under the title and the clause that the version rule gives it."""
    one = VERSION_CHECKS[id]
    return rule(one.id, one.title, clause=one.clause, certainty=one.certainty, after=after)


def _has_no_version(case: Case) -> list[int]:
    """Frames in which a reading of /3/0/3 was answered 4.04, where no reading ever succeeded."""
    if len(case.history_of(FIRMWARE_VERSION)):
        return []
    asked = case.capture.of("exchanges", case.update.endpoint)
    refused: list[int] = asked.where(uri_path=FIRMWARE_VERSION, response_code="4.04").response_frame.tolist()
    return refused


@_check("V1", after=("F4", "F17", "F2", "F18", "G4"))
def version_is_the_images(case: Case) -> Iterator[Conclusion]:
    """MUST of the change request; decided where the image says its version."""
    if _has_no_version(case):
        return
    if case.update.outcome != "succeeded":
        yield from _came_back_unread(case)
        return
    results = case.values(RESULT)
    settled = results.where(value=1).first("frame", case.update.frames[0])
    read = _settled_versions(case, settled)
    info = case.update.evidence.info
    if not len(read):
        yield (
            Verdict.INCONCLUSIVE,
            f"Update Result 1 stands in frame {settled}, but /3/0/3 was not read afterwards; that reading would decide",
            [settled],
        )
        return
    value, frame = str(read.last("value")), read.last("frame")
    claimed = _claimed_early(case)
    if claimed:
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 is {value}, and Update Result 1 stood in frame {claimed} already, before the Execute: whether "
            "anything was installed is not shown",
            [claimed, frame],
        )
    elif info is not None and value == case.update.firmware_version_before != info.version and _software_moved(case):
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 is {value} as before, the image's version is {info.version}, and /3/0/19 has moved: where "
            "software is told apart from firmware, the package may have held that alone",
            [settled, frame],
        )
    elif info is None and case.update.image_size is None:
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 is {value} after success, and the image is not whole in this capture; the image file (--image) "
            "would decide",
            [settled, frame],
        )
    elif info is None:
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 is {value} after success, and the image does not say its version in a form the lab reads; the "
            "image's release note or header would decide",
            [settled, frame],
        )
    elif value == info.version:
        yield Verdict.PASS, f"/3/0/3 is {value}, the version in the image's header", [settled, frame]
    else:
        yield (
            Verdict.FAIL,
            f"Update Result is 1, but /3/0/3 is {value} and the installed image's version is {info.version}",
            [settled, frame],
        )


def _came_back_unread(case: Case) -> Iterator[Conclusion]:
    """The device came back from an installation, and nobody asked how it went."""
    if case.update.outcome != "unfinished" or not len(case.again):
        return
    frame = case.again.first("frame")
    if not len(case.values(FIRMWARE_VERSION).after(frame)):
        yield (
            Verdict.INCONCLUSIVE,
            f"the device came back in frame {frame} after the Execute in frame {case.installs.first('frame')}, and "
            "/3/0/3 was not read afterwards; that reading would decide",
            [case.installs.first("frame"), frame],
        )


def _claimed_early(case: Case) -> int | None:
    """The frame in which success was claimed before the Execute; that claim shows no installation."""
    early = case.values(RESULT).before(case.installs.first("frame", 0)).where(value=1)
    frame: int | None = early.first("frame") if case.before(RESULT) != 1 else None
    return frame


def _software_moved(case: Case) -> bool:
    """Whether /3/0/19 is another than before the update."""
    before, after = case.before(SOFTWARE_VERSION), case.values(SOFTWARE_VERSION).last("value")
    return None not in (before, after) and before != after


def _settled_versions(case: Case, settled: int) -> Rows:
    """Readings of /3/0/3 once the new firmware runs: after the result, or after the registration that follows the
    Execute, which may come first."""
    back = case.again.first("frame", settled) if len(case.installs) else settled
    return case.values(FIRMWARE_VERSION).after(min(settled, back))


@_check("V2", after=("F3", "F2", "F18"))
def change_without_success(case: Case) -> Iterator[Conclusion]:
    """The result was lost, or the device was updated by other means: a note, no violation."""
    before, after = case.update.firmware_version_before, case.update.firmware_version_after
    if before is None or after is None or before == after or case.update.outcome == "failed":
        return
    seen = case.values(FIRMWARE_VERSION).frame
    if len(case.values(RESULT).where(value=1)):
        yield Verdict.PASS, f"/3/0/3 went from {before} to {after}, and Update Result 1 was seen", seen[-1:]
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 went from {before} to {after} without an Update Result 1; a reading of /5/0/5 right after the "
            "reboot would tell whether the result was lost",
            seen[-1:],
        )


@_check("V3")
def version_before_execute(case: Case) -> Iterator[Conclusion]:
    """The resource says what runs, and the package at hand does not run."""
    before, executed = case.update.firmware_version_before, case.installs.first("frame")
    early = case.values(FIRMWARE_VERSION).before(np.inf if executed is None else executed)
    if before is None or not len(early) or case.update.outcome in ("cancelled",):
        return
    moved, states = early[early.value != before], case.values(STATE)
    installed = executed is None and len(states.where(value=3)) > 0
    registered = case.registers
    if not len(moved) or installed:
        yield Verdict.PASS, f"/3/0/3 stays {before} until the installation", early.frame[-1:]
    elif executed is None and (len(registered) or not len(states.where(value=2))):
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 went from {before} to {moved.first('value')}, and no Execute was seen; a whole capture decides",
            moved.frame,
        )
    else:
        yield (
            Verdict.FAIL,
            f"/3/0/3 shows {moved.first('value')} before any Execute of Update; {before} still runs",
            moved.frame,
        )


@_check("V4", after=("T26", "F2", "F18"))
def version_after_failure(case: Case) -> Iterator[Conclusion]:
    """A failed installation leaves the old firmware, and the old version with it."""
    before, failed = case.update.firmware_version_before, case.values(RESULT).where(value=tuple(range(2, 10)))
    if before is None or not len(failed) or case.update.outcome != "failed":
        return
    settled = failed.first("frame")
    read = case.values(FIRMWARE_VERSION).after(settled)
    if not len(read):
        if len(case.installs):
            yield (
                Verdict.INCONCLUSIVE,
                f"the update failed in frame {settled}, and /3/0/3 was not read afterwards; that reading would decide",
                [settled],
            )
        return
    value, frame = read.last("value"), read.last("frame")
    if value == before:
        yield Verdict.PASS, f"/3/0/3 is {before} as before the failed update", [settled, frame]
    else:
        yield (
            Verdict.FAIL,
            f"Update Result {failed.first('value')} in frame {settled} says that the update failed, and yet /3/0/3 "
            f"went from {before} to {value} (frame {frame}): what was read breaks the rule, whether it is a trial boot "
            "not yet taken back or an image that stays; which of them it is, one more reading of /3/0/3 after the "
            "confirmation time tells, before the package is sent again",
            [settled, frame],
        )


@_check("V5")
def package_version_elsewhere(case: Case) -> Iterator[Conclusion]:
    """Allowed: the resource serves the update function alone."""
    versions, states = case.values(PKG_VERSION), case.values(STATE)
    for frame, value in versions.each("frame", "value"):
        state = states.before(frame).last("value")
        if state in (0, 1):
            yield Verdict.PASS, f"/5/0/7 is {value} in State {state}, which is allowed", [frame]
            return


@_check("V6")
def package_version_differs(case: Case) -> Iterator[Conclusion]:
    """Allowed: the standard relates neither to the other."""
    versions, after = case.values(PKG_VERSION), case.update.firmware_version_after
    if len(versions) and after is not None and case.update.outcome == "succeeded":
        value = versions.last("value")
        word = "equals" if value == after else "differs from"
        yield (
            Verdict.PASS,
            f"/5/0/7 {value} {word} /3/0/3 {after}; nothing follows from that",
            versions.frame[-1:],
        )


@_check("V7")
def no_firmware_version(case: Case) -> Iterator[Conclusion]:
    """The duty holds where the resource is available."""
    frames = _has_no_version(case)
    if frames:
        yield Verdict.PASS, "the device has no /3/0/3 (4.04), so nothing has to be updated", frames


@rule(
    "F15",
    "an update that succeeds changes something",
    clause="LwM2M E.6 (change request): Firmware Version; ETS int-770, step 3.b",
    after=("F4", "F17", "V1"),
)
def success_without_change(case: Case) -> Iterator[Conclusion]:
    """Result 1 and the old version: power loss, roll-back, a wrong image; or the version that was there before."""
    before, info = case.update.firmware_version_before, _info(case)
    claimed = case.values(RESULT).where(value=1).first("frame")
    if case.update.outcome != "succeeded" or before is None or claimed is None:
        return
    # What was read before the Execute tells of what ran then; that nothing was read since, V1 says.
    read = _settled_versions(case, claimed)
    if not len(read):
        return
    after, frame = read.last("value"), read.last("frame")
    if before != after:
        yield Verdict.PASS, f"/3/0/3 went from {before} to {after}", [frame]
    elif info is None:
        yield (
            Verdict.INCONCLUSIVE,
            f"Update Result is 1 and /3/0/3 is {after} as before: success without change, right if the image carries "
            f"{after}, and the capture does not say what it carries",
            [claimed, frame],
        )
    elif _software_moved(case) or _claimed_early(case):
        return
    elif info == after:
        yield (
            Verdict.PASS,
            f"the image carries {info}, the version that was there: the campaign changed nothing",
            [frame],
        )
    else:
        yield (
            Verdict.FAIL,
            f"Update Result is 1 and /3/0/3 is {after} as before, while the image carries {info}: it was rolled back, "
            "or never ran",
            [claimed, frame],
        )


def _info(case: Case) -> str | None:
    """The version in the image's header."""
    info = case.update.evidence.info
    return None if info is None else info.version
