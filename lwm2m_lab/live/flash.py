"""What survives a reboot, and a kill of the process: the firmware that runs, the package, where the update stands."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, write_beside
from lwm2m_lab.live.instances import ServerSettings
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.profiles import profile

__all__ = ["Boot", "Flash", "StateFile"]

#: Where an installation stands: nothing goes on; the package is swapped in at the next boot; it was swapped in; it runs
#: on trial; the old image is back.
Boot = Literal["settled", "pending", "swapped", "trial", "reverted"]
SCHEMA = 1


@dataclass
class Flash:
    """The device's memory.

    The standard is silent on State and Update Result over a reboot since 1.0 (ambiguity A6), yet a device that does not
    keep them could never report Result 1.

    Attributes
    ----------
    running : str
        Version of what runs: of the firmware, or of the software if that is what packages replace.
    firmware_version, software_version : str, str or None
        What ``/3/0/3`` and ``/3/0/19`` say; one of them is `running` in a device that keeps the rules.
    previous : str
        Version of the image that ran before: in a device with two slots it lies in the other one, and a trial that is
        not confirmed goes back to it.
    boot : Boot
    settings : ServerSettings
        Of the first server.
    more_settings : list of ServerSettings
        Of the others.
    state, result : State, UpdateResult
    package, package_uri : bytes, str
    severity, max_defer_period, automatic_upgrade
        ``/5/0/11``, ``/5/0/13``, ``/5/0/14``.
    state_changed_at, deferred_until : int or None
        Seconds since the epoch.
    """

    running: str
    firmware_version: str
    software_version: str | None
    settings: ServerSettings
    state: State
    result: UpdateResult
    previous: str = ""
    boot: Boot = "settled"
    package: bytes = b""
    package_uri: str = ""
    severity: int = 1
    max_defer_period: int = 0
    automatic_upgrade: bool = False
    state_changed_at: int | None = None
    deferred_until: int | None = None
    more_settings: list[ServerSettings] = field(default_factory=list)

    def settings_of(self, number: int, options: DeviceOptions) -> ServerSettings:
        """The settings of a server, counted from 0; those of one that is new are the factory's."""
        while len(self.more_settings) < number:
            self.more_settings.append(ServerSettings(options.lifetime))
        return self.more_settings[number - 1] if number else self.settings

    @classmethod
    def new(cls, options: DeviceOptions) -> Flash:
        """As the device leaves the factory."""
        state, result = profile(options.profile).initial
        replaced = options.software_version if options.installs == "software" else None
        return cls(
            replaced or options.firmware_version,
            options.firmware_version,
            options.software_version,
            ServerSettings(options.lifetime),
            state,
            result,
            max_defer_period=options.max_defer_period,
        )


@dataclass
class StateFile:
    """A flash kept in a file: written beside and moved into place at every change, so that a kill leaves a whole one.

    The package lies in a file of its own, named by its hash.

    Parameters
    ----------
    path : pathlib.Path
    """

    path: pathlib.Path
    _written: tuple[str, str] = field(default=("", ""), repr=False)

    def load(self, options: DeviceOptions) -> tuple[Flash, bool]:
        """What is kept, and whether anything was.

        Raises
        ------
        BadInput
            For a file that holds no such state, or one whose package is gone.
        """
        check_folder(self.path)
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._sweep("")
            return Flash.new(options), False
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{self.path} cannot be read ({error}); the state file of a device is expected") from None
        try:
            flash = self._flash(json.loads(text))
            self._sweep(self._written[1])
            return flash, True
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise BadInput(
                f"{self.path} is no state file ({type(error).__name__}: {error}); one that a device wrote is expected, "
                "or a path where none is yet"
            ) from None

    def save(self, flash: Flash) -> None:
        """Keep the flash, if it has changed.

        Raises
        ------
        BadInput
            Where it cannot be written.
        """
        digest = hashlib.sha256(flash.package).hexdigest() if flash.package else ""
        record: dict[str, Any] = {"schema": SCHEMA, **_plain(flash), "package": digest}
        text = json.dumps(record, indent=1)
        if (text, digest) == self._written:
            return
        if digest and digest != self._written[1]:
            write_beside(self._package(digest), flash.package)
        write_beside(self.path, text.encode())
        old = self._written[1]
        self._written = (text, digest)
        if old and old != digest:
            self._package(old).unlink(missing_ok=True)

    def _sweep(self, digest: str) -> None:
        """Remove what a kill left between two files: a package not yet named, one named no longer, a half of either."""
        kept = self._package(digest).name if digest else ""
        parts = rf"{re.escape(self.path.name)}(\.[0-9a-f]{{16}}\.package(\.part)?|\.part)"
        for one in self.path.absolute().parent.iterdir():
            if one.name != kept and re.fullmatch(parts, one.name):
                one.unlink(missing_ok=True)

    def _package(self, digest: str) -> pathlib.Path:
        return self.path.with_name(f"{self.path.name}.{digest[:16]}.package")

    def _flash(self, record: dict[str, Any]) -> Flash:
        if record.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        digest = record.pop("package")
        package = self._package(digest).read_bytes() if digest else b""
        if digest and hashlib.sha256(package).hexdigest() != digest:
            raise ValueError("the package beside it is another one")
        self._written = ("", digest)
        settings = ServerSettings(**record.pop("settings"))
        record["more_settings"] = [ServerSettings(**one) for one in record.get("more_settings", ())]
        state, result = State(record.pop("state")), UpdateResult(record.pop("result"))
        return Flash(settings=settings, state=state, result=result, package=package, **record)


def _plain(flash: Flash) -> dict[str, Any]:
    """The fields as JSON has them; the package apart."""
    plain = {one.name: getattr(flash, one.name) for one in dataclasses.fields(flash) if one.name != "package"}
    return {
        **plain,
        "settings": dataclasses.asdict(flash.settings),
        "more_settings": [dataclasses.asdict(one) for one in flash.more_settings],
        "state": int(flash.state),
        "result": int(flash.result),
    }
