"""The version rule of the change request as data: four versions, when each may change, and the checks V1 to V7.

Once a new image is installed, the device shows its version in ``/3/0/3``, if it has that resource. PkgName and
PkgVersion of Object 5 serve the update function alone, and nothing relates them to ``/3/0/3``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["VERSION_CHECKS", "VERSION_RESOURCES", "VersionCheck", "VersionResource"]

_RULE = "LwM2M E.6 (change request): Firmware Version"
_NOTE = "LwM2M E.6, note on PkgName and PkgVersion"


@dataclass(frozen=True, slots=True)
class VersionResource:
    """A resource that names a version.

    Attributes
    ----------
    path, name : str
    says : str
        What the value is the version of.
    changes : str
        When the value may become another.
    transitions : tuple of str
        Ids of the rules of the state machine with which it may change; an empty tuple where the standard is silent.
    must : bool
        Whether the device has to change it with these transitions, where it has the resource.
    clause : str
    """

    path: str
    name: str
    says: str
    changes: str
    transitions: tuple[str, ...]
    must: bool
    clause: str


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """One check of the version rule.

    Attributes
    ----------
    id, title : str
    when : str
        The situation in which the check has something to say.
    finds : {"violation", "note"}
        What it means when the situation is met: the device breaks a rule, or nothing is wrong and a reader may wonder.
    decided_by : str
        The reading that decides where the evidence is thin.
    certainty : {"proved", "suspected"}
        Of a violation or a suspicion that follows from it.
    clause : str
    """

    id: str
    title: str
    when: str
    finds: Literal["violation", "note"]
    decided_by: str
    certainty: Literal["proved", "suspected"]
    clause: str


#: The four resources by path.
VERSION_RESOURCES = {
    one.path: one
    for one in (
        VersionResource(
            "/5/0/6",
            "PkgName",
            "the name of the package at hand",
            "when a package arrives, is given up, or has been installed; the standard fixes no moment",
            (),
            False,
            _NOTE,
        ),
        VersionResource(
            "/5/0/7",
            "PkgVersion",
            "the version of the package at hand",
            "when a package arrives, is given up, or has been installed; the standard fixes no moment",
            (),
            False,
            _NOTE,
        ),
        VersionResource(
            "/3/0/3",
            "Firmware Version",
            "the version of the firmware that runs",
            "with a successful installation, and only then",
            ("T21",),
            True,
            _RULE,
        ),
        VersionResource(
            "/3/0/19",
            "Software Version",
            "the version of the software above the firmware, where a device tells the two apart",
            "with a successful installation, if the package held that software",
            ("T21",),
            False,
            "Object 3, resource 19",
        ),
    )
}

#: The checks V1 to V7 by id.
VERSION_CHECKS = {
    one.id: one
    for one in (
        VersionCheck(
            "V1",
            "after success /3/0/3 is the version of the installed image",
            "Update Result is 1, and /3/0/3 read afterwards is not the image's version",
            "violation",
            "the version in the image's header, and one reading of /3/0/3 after the result",
            "proved",
            _RULE,
        ),
        VersionCheck(
            "V2",
            "a new /3/0/3 comes with Update Result 1",
            "/3/0/3 changed, and no Update Result 1 was seen",
            "note",
            "a reading of /5/0/5 right after the reboot",
            "suspected",
            _RULE,
        ),
        VersionCheck(
            "V3",
            "/3/0/3 does not change before the installation",
            "/3/0/3 shows another version in State 1 or 2, before any Execute of Update",
            "violation",
            "a capture that begins before the Execute",
            "proved",
            _RULE,
        ),
        VersionCheck(
            "V4",
            "after a failed update /3/0/3 is as before",
            "Update Result is 2 to 9, and /3/0/3 is not what it was before the Execute",
            "violation",
            "one more reading of /3/0/3 tells whether a trial boot was taken back",
            "proved",
            "LwM2M E.6; ETS int-779, criterion C.b",
        ),
        VersionCheck(
            "V5",
            "/5/0/7 outside Downloaded and Updating",
            "/5/0/7 has a value in State 0 or 1",
            "note",
            "nothing: it is allowed",
            "proved",
            _NOTE,
        ),
        VersionCheck(
            "V6",
            "/5/0/7 need not equal /3/0/3",
            "/5/0/7 in State 2 differs from /3/0/3 after success",
            "note",
            "nothing: the standard relates neither to the other",
            "proved",
            _NOTE,
        ),
        VersionCheck(
            "V7",
            "without /3/0/3 the version rule does not apply",
            "every reading of /3/0/3 is answered 4.04",
            "note",
            "a reading of /3/0/3 that succeeds",
            "proved",
            _RULE,
        ),
    )
}
