"""The version rule of the change request (V1 to V7): /3/0/3 against the image, never against /5/0/7."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from lwm2m_lab.spec.versions import VERSION_CHECKS
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Body, Conclusion, Verdict, rule

__all__: list[str] = []

FIRMWARE_VERSION, PKG_VERSION, STATE, RESULT = "/3/0/3", "/5/0/7", "/5/0/3", "/5/0/5"


def _check(id: str) -> Callable[[Body], Body]:
    """Register a rule under the title and the clause that the version rule gives it."""
    one = VERSION_CHECKS[id]
    return rule(one.id, one.title, clause=one.clause, certainty=one.certainty)


def _executed(case: Case) -> int | None:
    """Frame of the first Execute of Update that was accepted."""
    table = case.executes
    good = table[(table["path"] == "/5/0/2") & table["response_code"].str.startswith("2.").fillna(False)]
    return int(good["frame"].iloc[0]) if len(good) else None


def _has_no_version(case: Case) -> list[int]:
    """Frames in which a reading of /3/0/3 was answered 4.04, where no reading ever succeeded."""
    if (case.history["path"] == FIRMWARE_VERSION).any():
        return []
    table, paths = case.capture.of("_wired", case.update.endpoint), case.capture.columns.categories["uri_path"]
    if FIRMWARE_VERSION not in paths:
        return []
    refused = table[(table["_path"] == paths.index(FIRMWARE_VERSION)) & (table["response_code"] == "4.04")]
    return [int(frame) for frame in refused["response_frame"]]


@_check("V1")
def version_is_the_images(case: Case) -> Iterator[Conclusion]:
    """MUST of the change request; decided where the image says its version."""
    if case.update.outcome != "succeeded" or _has_no_version(case):
        return
    results = case.values(RESULT)
    success = results[results["value"] == 1]
    settled = int(success["frame"].iloc[0]) if len(success) else case.update.frames[0]
    read = _settled_versions(case, settled)
    info = case.update.evidence.info
    if not len(read):
        yield (
            Verdict.INCONCLUSIVE,
            f"Update Result 1 stands in frame {settled}, but /3/0/3 was not read afterwards; that reading would decide",
            [settled],
        )
        return
    value, frame = str(read["value"].iloc[-1]), int(read["frame"].iloc[-1])
    if info is None:
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


def _settled_versions(case: Case, settled: int) -> pd.DataFrame:
    """Readings of /3/0/3 once the new firmware runs: after the result, or after the registration that follows the
    Execute, which may come first."""
    executed = _executed(case)
    again = case.registrations
    if executed is not None:
        again = again[(again["frame"] > executed) & (again["operation"] == "register")]
        if len(again):
            settled = min(settled, int(again["frame"].iloc[0]))
    versions = case.values(FIRMWARE_VERSION)
    return versions[versions["frame"] > settled]


@_check("V2")
def change_without_success(case: Case) -> Iterator[Conclusion]:
    """The result was lost, or the device was updated by other means: a note, no violation."""
    before, after = case.update.firmware_version_before, case.update.firmware_version_after
    if before is None or after is None or before == after or case.update.outcome == "failed":
        return
    seen = case.values(FIRMWARE_VERSION)["frame"].tolist()
    if (case.values(RESULT)["value"] == 1).any():
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
    before, executed = case.update.firmware_version_before, _executed(case)
    versions = case.values(FIRMWARE_VERSION)
    early = versions if executed is None else versions[versions["frame"] < executed]
    if before is None or not len(early) or case.update.outcome in ("cancelled",):
        return
    moved = early[early["value"] != before]
    installed = executed is None and (case.values(STATE)["value"] == 3).any()
    registered = case.registrations[case.registrations["operation"] == "register"]
    if not len(moved) or installed:
        yield Verdict.PASS, f"/3/0/3 stays {before} until the installation", early["frame"].tolist()[-1:]
    elif executed is None and (len(registered) or not (case.values(STATE)["value"] == 2).any()):
        yield (
            Verdict.INCONCLUSIVE,
            f"/3/0/3 went from {before} to {moved['value'].iloc[0]}, and no Execute was seen; a whole capture decides",
            moved["frame"].tolist(),
        )
    else:
        yield (
            Verdict.FAIL,
            f"/3/0/3 shows {moved['value'].iloc[0]} before any Execute of Update; {before} still runs",
            moved["frame"].tolist(),
        )


@_check("V4")
def version_after_failure(case: Case) -> Iterator[Conclusion]:
    """A failed installation leaves the old firmware, and the old version with it."""
    before, results = case.update.firmware_version_before, case.values(RESULT)
    failed = results[results["value"].isin(range(2, 10))]
    if before is None or not len(failed) or case.update.outcome != "failed":
        return
    settled = int(failed["frame"].iloc[0])
    read = case.values(FIRMWARE_VERSION)
    read = read[read["frame"] > settled]
    if not len(read):
        if _executed(case) is not None:
            yield (
                Verdict.INCONCLUSIVE,
                f"the update failed in frame {settled}, and /3/0/3 was not read afterwards; that reading would decide",
                [settled],
            )
        return
    value, frame = read["value"].iloc[-1], int(read["frame"].iloc[-1])
    if value == before:
        yield Verdict.PASS, f"/3/0/3 is {before} as before the failed update", [settled, frame]
    else:
        yield (
            Verdict.FAIL,
            f"Update Result {int(failed['value'].iloc[0])} says that the update failed, yet /3/0/3 went from "
            f"{before} to {value}; a trial boot not yet taken back looks the same, so read once more after the "
            "confirmation time",
            [settled, frame],
        )


@_check("V5")
def package_version_elsewhere(case: Case) -> Iterator[Conclusion]:
    """Allowed: the resource serves the update function alone."""
    versions, states = case.values(PKG_VERSION), case.values(STATE)
    for frame, value in versions[["frame", "value"]].itertuples(index=False):
        earlier = states[states["frame"] < frame]
        if len(earlier) and earlier["value"].iloc[-1] in (0, 1):
            yield Verdict.PASS, f"/5/0/7 is {value} in State {earlier['value'].iloc[-1]}, which is allowed", [frame]
            return


@_check("V6")
def package_version_differs(case: Case) -> Iterator[Conclusion]:
    """Allowed: the standard relates neither to the other."""
    versions, after = case.values(PKG_VERSION), case.update.firmware_version_after
    if len(versions) and after is not None and case.update.outcome == "succeeded":
        value = versions["value"].iloc[-1]
        word = "equals" if value == after else "differs from"
        yield (
            Verdict.PASS,
            f"/5/0/7 {value} {word} /3/0/3 {after}; nothing follows from that",
            versions["frame"].tolist()[-1:],
        )


@_check("V7")
def no_firmware_version(case: Case) -> Iterator[Conclusion]:
    """The duty holds where the resource is available."""
    frames = _has_no_version(case)
    if frames:
        yield Verdict.PASS, "the device has no /3/0/3 (4.04), so nothing has to be updated", frames
