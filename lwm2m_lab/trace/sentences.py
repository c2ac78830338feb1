"""One update in words: the sentence that says how it went and why, and the facts under it."""

from __future__ import annotations

from lwm2m_lab.trace.updates import Update

__all__ = ["facts_of", "sentence_of"]

_OUTCOMES = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "was cancelled",
    "deferred": "was deferred",
    "unfinished": "is unfinished",
}
_HASH = {True: "valid", False: "does not match", None: "absent"}


def sentence_of(update: Update) -> str:
    """How the update went and why: outcome, first cause, what it led to, clause; with frame numbers."""
    first, last = update.frames
    what = f"{update.endpoint}: the {update.delivery} of {_package(update)} (frames {first} to {last})"
    outcome = _OUTCOMES[update.outcome]
    why = f": {update.cause} [{update.clause}]" if update.cause else ""
    if update.outcome != "succeeded":
        return f"{what} {outcome}{why}."
    return f"{what} {outcome}{_versions(update)}{', but the device breaks a rule' + why if why else ''}."


def _package(update: Update) -> str:
    """The package: its size, or why it has none here."""
    if update.image_size is not None:
        return f"{update.image_size} bytes"
    if update.delivery == "push" or update.block_sizes or update.image_accepted is not None:
        return "a package that never came whole"
    uri = update.evidence.uri or "a package"
    return f"{uri if len(uri) <= 80 else uri[:79] + '…'}, whose bytes are not in this capture,"


def _versions(update: Update) -> str:
    """What the success has changed in /3/0/3, as far as it was read."""
    before, after = update.firmware_version_before, update.firmware_version_after
    info = update.evidence.info
    if after is None:
        return "; no /3/0/3 was seen afterwards"
    own = info is not None and info.version == after
    if after != before:
        return f": /3/0/3 went from {before or 'unknown'} to {after}{', the version of the image' if own else ''}"
    if own:
        return f" without change: /3/0/3 is {after} as before, and the image carries that version"
    if info is not None:
        return f" without change: /3/0/3 is {after} as before"
    return (
        f" without change: /3/0/3 is {after} as before, which is right if the image carries that version; it does not "
        "say so in a form the lab reads"
    )


def facts_of(update: Update) -> list[str]:
    """The lines under the sentence."""
    facts = [
        f"outcome {update.outcome}, verdict on the device: {update.verdict}",
        f"State {' -> '.join(map(str, update.states)) or 'not seen'}; "
        f"Update Result {' -> '.join(map(str, update.results)) or 'not seen'}",
        f"/3/0/3 Firmware Version {' -> '.join(update.firmware_versions) or 'not seen'}; "
        f"/5/0/7 PkgVersion {' -> '.join(update.pkg_versions) or 'not seen'}",
    ]
    if update.image_sha256:
        version = update.evidence.info
        said = f", MCUboot version {version.version}, hash {_HASH[version.hash_valid]}" if version else ""
        facts.append(f"image {update.image_size} bytes, SHA-256 {update.image_sha256[:16]}…{said}")
    if update.retransmissions:
        facts.append(f"{update.retransmissions} retransmissions")
    return facts
