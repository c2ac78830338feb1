"""Where real clients differ from the strict reading, as data.

A profile chooses where the relation leaves a choice, says how refusals are answered, and describes what a server sees.
The facts were read in the implementations' own code and captures (Anjay's ``fw_update`` module, Zephyr's
``lwm2m_obj_firmware.c``, Wakaama's example client).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event, Outcome

__all__ = ["PROFILES", "Profile", "profile"]

_IDLE, _DOWNLOADING, _DOWNLOADED, _UPDATING = State
_R = UpdateResult
Key = tuple[State, Event]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How one implementation behaves.

    Attributes
    ----------
    name, about : str
    choices : mapping of (State, Event) to outcome
        Which of several permitted outcomes it takes.
    refuses : mapping of (State, Event) to str
        The code of a refusal: where the rules name none, or where it refuses what may be refused.
    deviates : mapping of (State, Event) to outcome or None
        What it does outside the relation; None for nothing at all. A judge finds these, a simulator may copy them.
    shows_downloading : bool
        Whether State 1 is visible during a push (A4).
    initial : (State, UpdateResult)
        After the first boot.
    reset_values : tuple of bytes
        What it takes as the reset value of Package (A5).
    failed_push : mapping of UpdateResult to str
        What answers the last block of a push that fails (A3, A15); 2.04 where nothing stands.
    pkg_version : mapping of State to str
        What ``/5/0/7`` shows: ``"package"``, ``"absent"``, or a constant.
    result_before_state : bool
        Which of the two notifications leaves first at the end.
    """

    name: str
    about: str
    choices: Mapping[Key, Outcome] = field(default_factory=lambda: MappingProxyType({}))
    refuses: Mapping[Key, str] = field(default_factory=lambda: MappingProxyType({}))
    deviates: Mapping[Key, Outcome | None] = field(default_factory=lambda: MappingProxyType({}))
    shows_downloading: bool = True
    initial: tuple[State, UpdateResult] = (_IDLE, _R.INITIAL)
    reset_values: tuple[bytes, ...] = (b"\0",)
    failed_push: Mapping[UpdateResult, str] = field(default_factory=lambda: MappingProxyType({}))
    pkg_version: Mapping[State, str] = field(default_factory=lambda: MappingProxyType({}))
    result_before_state: bool = True


_STRICT_CHOICES: dict[Key, Outcome] = {
    (_DOWNLOADED, Event.UPDATE): (_UPDATING, _R.INITIAL),
    (_UPDATING, Event.INSTALL_FAILED): (_DOWNLOADED, _R.UPDATE_FAILED),
    (_UPDATING, Event.INTEGRITY_FAILURE): (_IDLE, _R.INTEGRITY_FAILED),
    (_IDLE, Event.REBOOT): (_IDLE, None),
    (_DOWNLOADING, Event.REBOOT): (_IDLE, _R.CONNECTION_LOST),
    (_DOWNLOADED, Event.REBOOT): (_DOWNLOADED, None),
    (_UPDATING, Event.REBOOT): (_UPDATING, None),
    (_DOWNLOADING, Event.SENDER_GONE): (_IDLE, _R.CONNECTION_LOST),
}
_FORGETFUL: dict[Key, Outcome] = {
    (state, Event.REBOOT): (_IDLE, _R.INITIAL) for state in State if state != _DOWNLOADING
}
_WRITES = (Event.FIRST_BLOCK, Event.PACKAGE, Event.PACKAGE_URI)

#: The profiles by name.
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "strict": Profile(
            name="strict",
            about="what passes the OMA test cases: State 1 visible, a failed installation ends in Downloaded with 8",
            choices=MappingProxyType(_STRICT_CHOICES),
            refuses=MappingProxyType({(_UPDATING, Event.RESET): "4.05"}),
            pkg_version=MappingProxyType({_DOWNLOADED: "package", _UPDATING: "package"}),
        ),
        "anjay": Profile(
            name="anjay",
            about="AVSystem's client: no State 1 during a push, 4.00 for a Write out of turn",
            choices=MappingProxyType({**_STRICT_CHOICES, (_DOWNLOADING, Event.SENDER_GONE): (_DOWNLOADING, None)}),
            refuses=MappingProxyType(
                {
                    (_UPDATING, Event.RESET): "4.05",
                    (_IDLE, Event.CANCEL): "4.05",
                    **{(state, event): "4.00" for state in (_DOWNLOADING, _DOWNLOADED) for event in _WRITES},
                    (_UPDATING, Event.FIRST_BLOCK): "4.05",
                    (_UPDATING, Event.PACKAGE): "4.05",
                    (_UPDATING, Event.PACKAGE_URI): "4.00",
                    (_IDLE, Event.UNSUPPORTED_SCHEME): "4.00",
                }
            ),
            shows_downloading=False,
            failed_push=MappingProxyType({_R.NO_STORAGE: "5.00", _R.OUT_OF_MEMORY: "5.00"}),
            pkg_version=MappingProxyType({_DOWNLOADED: "1.0"}),
            result_before_state=False,
        ),
        "zephyr": Profile(
            name="zephyr",
            about="Zephyr's client: Object 5 version 1.0, resets in Downloaded alone, forgets everything at boot",
            choices=MappingProxyType(
                {
                    **_STRICT_CHOICES,
                    **_FORGETFUL,
                    (_DOWNLOADING, Event.REBOOT): (_IDLE, None),
                    (_UPDATING, Event.INSTALL_FAILED): (_IDLE, _R.UPDATE_FAILED),
                    (_DOWNLOADING, Event.SENDER_GONE): (_DOWNLOADING, None),
                }
            ),
            refuses=MappingProxyType({(_DOWNLOADED, event): "4.05" for event in _WRITES}),
            deviates=MappingProxyType(
                {
                    (_IDLE, Event.RESET): None,
                    (_DOWNLOADING, Event.RESET): None,
                    (_UPDATING, Event.RESET): None,
                    **{(state, Event.PACKAGE_URI): None for state in (_DOWNLOADING, _DOWNLOADED, _UPDATING)},
                }
            ),
            reset_values=(b"\0", b""),
            failed_push=MappingProxyType(
                {
                    _R.NO_STORAGE: "4.13",
                    _R.OUT_OF_MEMORY: "5.00",
                    _R.INTEGRITY_FAILED: "4.08",
                    _R.UNSUPPORTED_TYPE: "4.15",
                    _R.UPDATE_FAILED: "5.00",
                }
            ),
            result_before_state=False,
        ),
        "wakaama": Profile(
            name="wakaama",
            about="Wakaama's example client, a skeleton: State begins at 1, packages change nothing, Execute sets 2",
            choices=MappingProxyType({**_STRICT_CHOICES, (_DOWNLOADING, Event.REBOOT): (_DOWNLOADING, None)}),
            refuses=MappingProxyType(
                {
                    **{(state, Event.CANCEL): "4.05" for state in State},
                    (_IDLE, Event.UPDATE): "4.00",
                    (_UPDATING, Event.UPDATE): "4.00",
                }
            ),
            deviates=MappingProxyType(
                {
                    **{(state, event): None for state in State for event in (*_WRITES, Event.RESET)},
                    (_DOWNLOADING, Event.UPDATE): (_DOWNLOADED, None),
                }
            ),
            shows_downloading=False,
            initial=(_DOWNLOADING, _R.INITIAL),
            reset_values=(),
            pkg_version=MappingProxyType(dict.fromkeys(State, "1.0")),
        ),
    }
)


def profile(name: str) -> Profile:
    """A profile by its name.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> profile("anjay").shows_downloading
    False
    """
    if name not in PROFILES:
        raise BadInput(f"profile is {name!r}; one of {', '.join(PROFILES)} is expected")
    return PROFILES[name]
