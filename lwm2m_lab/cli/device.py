"""`device`: a device on real sockets, until Ctrl-C."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from lwm2m_lab.cli.shared import add_command, add_credentials, credentials
from lwm2m_lab.cli.tapping import add_session_keys, check_outputs, write_outputs
from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from lwm2m_lab.live.client import Happening
    from lwm2m_lab.live.options import DeviceOptions

__all__ = ["add", "address"]


def add(commands: Any) -> None:
    """The command of this module."""
    command = add_command(commands, "device", "run a device on real sockets, until Ctrl-C", _run)
    option = command.add_argument
    option(
        "--server",
        action="append",
        metavar="URI",
        help="the LwM2M server (coap://127.0.0.1:5683), or coaps://HOST; again for a second one at the same time",
    )
    option("--access", action="append", default=[], metavar="2=R", help="what a server, by number, may do: some of RWE")
    add_credentials(command)
    option("--ca", metavar="FILE", help="who vouches for a server of https: certificates in PEM")
    option("--endpoint", metavar="NAME", help="endpoint name (urn:dev:lab-1)")
    option("--bind", default="127.0.0.1", metavar="HOST[:PORT]", help="own address, loopback unless told (%(default)s)")
    option("--state", metavar="FILE", help="keep state, result and package here, over reboots and kills")
    option("--lwm2m", metavar="V", help="LwM2M version: 1.0, 1.1, 1.2 (1.1)")
    option("--object-version", metavar="V", help="version of Object 5: 1.0, 1.1, 1.2 (1.1)")
    option("--firmware-version", metavar="V", help="/3/0/3 at first (1.0.0)")
    option("--lifetime", type=int, metavar="S", help="of the registration, seconds (86400)")
    option("--block-size", type=int, metavar="BYTES", help="largest block that it wants, 16 to 1024 (1024)")
    option("--storage", type=int, metavar="BYTES", help="what a package may take")
    option("--memory", type=int, metavar="BYTES", help="what a package may take on its way")
    option("--install-time", type=float, metavar="S", help="seconds (3)")
    option("--reboot-time", type=float, metavar="S", help="seconds (8)")
    option("--resume-attempts", type=int, default=3, metavar="N", help="of a broken download (%(default)s)")
    option("--delivery", choices=("pull", "push", "both"), help="what /5/0/9 says (both)")
    option("--slots", choices=("one", "ab"), help="one slot, or two with a trial boot")
    option("--confirm-after", type=float, metavar="S", help="of a trial boot, seconds (30)")
    option("--trial-fails", action="store_true", help="let the trial fail, so that the old image is swapped back")
    option("--verify-key", metavar="FILE", help="a public key in PEM that a package's signature has to match")
    option("--software-version", metavar="V", help="/3/0/19, where firmware and the software on top are apart")
    option("--installs", choices=("firmware", "software"), help="which of the two a package replaces (firmware)")
    option("--user-defers", type=float, metavar="S", help="for how long the user puts an installation off")
    option("--max-defer-period", type=int, metavar="S", help="/5/0/13 at first (0)")
    option("--profile", metavar="NAME", help="strict, anjay, zephyr or wakaama")
    option("--queue-mode", action="store_true", help="sleep between messages")
    option("--install-fails", action="store_true", help="let the installation fail")
    option("--fault", action="append", default=[], metavar="NAME", help="what it does wrong; 'list' lists the faults")
    option("--like", metavar="D4", help="one of the devices D1 to D11 of the version's truth table")
    option("--pcap", metavar="OUT", help="write what passed its socket at the end (pcapng)")
    add_session_keys(command)


#: Options of the command that are options of the device where they are given.
_PASSED = ("endpoint", "lwm2m", "object_version", "firmware_version", "lifetime", "block_size", "storage", "memory",
           "install_time", "reboot_time", "resume_attempts", "slots", "confirm_after", "software_version", "installs",
           "user_defers", "max_defer_period", "profile")  # fmt: skip
_DELIVERIES = {"pull": 0, "push": 1, "both": 2}


def _run(options: argparse.Namespace) -> int:
    """Run the device; ends by Ctrl-C, or by an error in it."""
    from lwm2m_lab.live.device import Device
    from lwm2m_lab.live.faults import DEVICE_FAULTS

    if "list" in options.fault:
        print("\n".join(DEVICE_FAULTS.lines()))
        return 0
    check_outputs(options)
    device = Device(
        _device_options(options),
        servers=options.server or ["coap://127.0.0.1:5683"],
        access=_access(options.access),
        bind=address(options.bind),
        credentials=credentials(options),
        ca=options.ca,
        state=options.state,
        session_keys=bool(options.session_keys),
        told=_tell,
    )
    with device:
        try:
            print(f"{device.endpoint} at {device.address}, server {' and '.join(device.servers)}", flush=True)
            device.run_until_end()
        finally:
            write_outputs(options, device.capture)
    return 0


def _device_options(options: argparse.Namespace) -> DeviceOptions:
    from dataclasses import replace

    from lwm2m_lab.live.options import DeviceOptions

    given: dict[str, Any] = {name: getattr(options, name) for name in _PASSED if getattr(options, name) is not None}
    given |= {name: True for name in ("queue_mode", "install_fails", "trial_fails") if getattr(options, name)}
    if options.delivery is not None:
        given["delivery"] = _DELIVERIES[options.delivery]
    if options.verify_key is not None:
        given["verify_key"] = _key(options.verify_key)
    base = DeviceOptions.named(options.like) if options.like else DeviceOptions()
    return replace(base, **given, faults=(*base.faults, *options.fault))


def _key(file: str) -> bytes:
    """A public key, out of a file."""
    try:
        return pathlib.Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}); a public key in PEM is expected") from None


def _access(given: list[str]) -> dict[int, str]:
    """Rights by the number of a server."""
    found = {}
    for one in given:
        number, equals, letters = one.partition("=")
        if not equals or not number.isascii() or not number.isdigit() or len(number) > 5:
            raise BadInput(f"--access is {one!r}; a server's number and its rights are expected, as in 2=R or 2=RWE")
        found[int(number)] = letters
    return found


def address(text: str, *, port: int = 0, name: str = "--bind") -> tuple[str, int]:
    """Host and port of an option; without a port the usual one, or a free one (0)."""
    host, colon, said = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, said = text, str(port)
    if not host or not said.isdecimal() or int(said) > 65535 or host in ("0.0.0.0", "::", "[::]"):
        raise BadInput(f"{name} is {text!r}; one address of this machine is expected, as in 127.0.0.1:56830 or [::1]")
    return host.strip("[]"), int(said)


def _tell(one: Happening) -> None:
    """One line for each event."""
    package = f", package {one.package_version}" if one.package_version else ""
    state = f"State {one.state}, Result {one.result}, runs {one.firmware_version}{package}"
    print(f"{one.time:10.3f}  {one.what:<32} {state}", flush=True)
