"""`conformance()`: one call, every case, one device of the lab's or one that registers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.conformance.cases import chosen
from lwm2m_lab.live.conformance.images import Images
from lwm2m_lab.live.conformance.process import command_of
from lwm2m_lab.live.conformance.records import Case, CaseResult
from lwm2m_lab.live.conformance.result import Conformance
from lwm2m_lab.live.conformance.rig import PACES, Bench, Pace, run_own_device, run_registered
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.network import Address, LoopbackNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.secure import need_dtls

__all__ = ["conformance"]

Told = Callable[[CaseResult], None]
Path = str | os.PathLike[str]


def conformance(
    device: DeviceOptions | None = None,
    *,
    cases: Iterable[str] | None = None,
    network: Literal["simulated", "loopback"] = "simulated",
    object_version: str | None = None,
    seed: int = 1,
    bind: Address | None = None,
    start: str | Sequence[str] | None = None,
    endpoint: str | None = None,
    image: Path | None = None,
    image_version: str | None = None,
    prepared: Mapping[str, Path] | None = None,
    repository_port: int = 0,
    credentials: Credentials | None = None,
    wait: float = 600.0,
    pace: Pace | None = None,
    told: Told = lambda _: None,
) -> Conformance:
    """Run OMA's test cases for the firmware update, and the lab's own checks, against a device.

    A device of the lab's is fresh from the factory for each case, and brought to the state that the case needs. With
    `bind` or `start` the bench waits at a socket for a device to register, whatever it is, and runs one case after
    the other.

    Parameters
    ----------
    device : DeviceOptions, optional
        What the lab's device is like: profile, faults, slots; by the book by default.
    cases : iterable of str, optional
        Names or patterns such as ``"int-77*"``; all by default.
    network : {"simulated", "loopback"}
        Simulated time, or real sockets with every time scaled down; only there is a pull by HTTP.
    object_version : str, optional
        Version of Object 5 of the lab's device, and of LwM2M with it; by default what `device` says.
    seed : int
        As for `push`.
    bind : (str, int), optional
        One address of this machine, under which a device finds server and repository, and the server's port.
    start : str or sequence of str, optional
        The command of a device's process, which the bench starts once it listens and ends at the end; ``{server}`` in
        it is the URI of the server: ``"lwm2m-lab device --server {server}"``. `bind` may be left out then.
    endpoint : str, optional
        Endpoint name of the device that is waited for; without it the first one that registers.
    image : path, optional
        A good image for that device; without one MCUboot images are made, which the lab's devices take.
    image_version : str, optional
        What ``/3/0/3`` says once it is installed; by default what an MCUboot header says.
    prepared : mapping of str to path, optional
        Images made for one case: ``"too large"``, ``"too much memory"``, ``"failing"``. Without them these cases are
        INCONCLUSIVE.
    repository_port : int
        UDP port of the repository; 0 takes a free one.
    credentials : Credentials, optional
        The keys of devices that register: server and repository speak coaps then (`lwm2m_lab.live.credentials`).
    wait : float
        Seconds until the device has to have registered.
    pace : Pace, optional
        How long things take: RFC 7252's parameters and three minutes for an installation by default.
    told : callable, optional
        Called with each result as it comes.

    Returns
    -------
    Conformance

    Raises
    ------
    BadInput
        For an argument out of range, a port that is taken, a file that cannot be read.
    LabError
        When no device registers.

    Examples
    --------
    >>> print(conformance(cases=["int-77[02]"]))
    a device by the book conforms to Object 5 version 1.1: 2 PASS
      case                 meant print title
      int-770              PASS  PASS  Successful update by push
      int-772              PASS  PASS  Update without a package
    """
    which = chosen(cases)
    command = None if start is None else command_of(start)
    if bind is None and command is not None:
        bind = ("127.0.0.1", 0)
    if bind is None:
        if credentials is not None:
            raise BadInput("credentials are given and no device is waited for; bind or start is expected with them")
        return _own(_options(device, object_version), which, network, seed, pace, told)
    if device is not None or object_version is not None:
        raise BadInput("a device that registers is waited for, and one of the lab's is given; one of them is expected")
    if not 0 < wait <= 10**7:
        raise BadInput(f"wait is {wait!r}; seconds above 0 and up to 10000000 are expected")
    images = Images.from_files(image, image_version, prepared or {})
    if credentials is not None:
        need_dtls()
    stand = Bench(
        LoopbackNetwork(), _listens(bind), (bind[0], repository_port), images, pace or Pace(), credentials=credentials
    )
    name, declared, results = run_registered(stand, which, endpoint=endpoint, start=command, wait=wait, told=told)
    return Conformance(
        device=name,
        endpoint=name,
        lwm2m=declared.lwm2m,
        object_version=declared.object_version,
        network="registered",
        results=tuple(results),
    )


def _own(
    options: DeviceOptions, cases: Iterable[Case], network: str, seed: int, pace: Pace | None, told: Told
) -> Conformance:
    """Every case against a device of the lab's."""
    if network not in PACES:
        raise BadInput(f"network is {network!r}; 'simulated' or 'loopback' is expected")
    results = []
    for case in cases:
        results.append(run_own_device(case, options, network=network, pace=pace or PACES[network], seed=seed))
        told(results[-1])
    return Conformance(
        device=_description(options),
        endpoint=options.endpoint,
        lwm2m=options.lwm2m,
        object_version=options.object_version,
        network=network,
        results=tuple(results),
    )


def _options(device: DeviceOptions | None, object_version: str | None) -> DeviceOptions:
    """The device in a version of Object 5; LwM2M 1.1 may declare Object 5 version 1.1, the others have their own."""
    options = device or DeviceOptions()
    return options if object_version is None else replace(options, object_version=object_version, lwm2m=object_version)


def _description(options: DeviceOptions) -> str:
    """What a device of the lab's is, in words."""
    strict, faults = options.profile == "strict", ", ".join(options.faults)
    if strict and not faults:
        return "a device by the book"
    return ("a device" if strict else f"profile {options.profile}") + (f" with {faults}" if faults else "")


def _listens(bind: Address) -> Address:
    """Where the bench listens: one address, since a Package URI has to name it."""
    if bind[0] in ("0.0.0.0", "::", ""):
        raise BadInput(f"bind is {bind[0]!r}; the one address of this machine that the device can reach is expected")
    if bind[1] not in range(65_536):
        raise BadInput(f"port {bind[1]!r} of bind is none; 0 to 65535 is expected")
    return bind
