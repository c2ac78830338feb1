"""The servers of a device: each has its settings, its attributes, its registration, and what Object 2 lets it do.

With one server there is no Object 2, and it may do everything (LwM2M Core, Access Control). With several each object
instance has an instance of Object 2 beside it, made in the factory: a server's own settings are its own alone, and
Objects 3 and 5 are everybody's unless `access` says otherwise. Whose the update is that is under way, Object 5 sees to.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.attributes import Attributes, AttributeStore
from lwm2m_lab.live.instances import ServerInstance, ServerSettings
from lwm2m_lab.live.operations import Instance, Operations
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.registration import Registration
from lwm2m_lab.live.requests import COAPS_PORT, path_of
from lwm2m_lab.live.tree import Refusal, Value
from lwm2m_lab.spec.objects import ObjectDefinition
from lwm2m_lab.spec.server_object import ACCESS_CONTROL
from lwm2m_lab.wire.values import Entry

__all__ = ["AccessInstance", "Account", "accounts_of", "check_access"]

#: The bits of an ACL; Discover needs none.
_BITS = {"R": 1, "W": 2, "E": 4}
_ALL = "RWE"
#: Access Control Owner of what a bootstrap alone may change.
_NOBODY = 65535


class Account:
    """One server of a device, from power on to power off.

    Parameters
    ----------
    number : int
        Its instance of Object 1; -1 for whoever is no server of this device.
    uri : str
    settings : ServerSettings
    """

    operations: Operations
    registration: Registration

    def __init__(self, number: int, uri: str, settings: ServerSettings) -> None:
        self.number, self.uri, self.settings = number, uri, settings
        self.attributes = AttributeStore()
        self._address = _address_of(uri)

    @property
    def short_id(self) -> int:
        """Short Server ID; 0 stands for the default of an ACL."""
        return self.number + 1

    def is_at(self, remote: Any) -> bool:
        """Whether something from there comes from this server; its name may have led to another address."""
        return bool(remote == self.registration.remote or tuple(remote.address[:2]) == self._address)

    def renew(self) -> None:
        """Send a registration Update soon."""
        self.registration.renew()

    def disable(self) -> None:
        """De-register, and register again after the Disable Timeout."""
        self.registration.disable()

    def effective(self, path: str) -> Attributes:
        """The attributes of a path, down to the defaults of the server's own object."""
        defaults = Attributes(pmin=self.settings.default_pmin, pmax=self.settings.default_pmax)
        return self.attributes.effective(path, defaults=defaults)


def accounts_of(
    servers: Sequence[str],
    settings: Callable[[int], ServerSettings],
    instances: Sequence[Instance],
    *,
    options: DeviceOptions,
    access: Mapping[int, str],
) -> tuple[Account, ...]:
    """The accounts of the servers; of several, the last one is that of whoever is none of them.

    Parameters
    ----------
    settings : callable
        The settings of a server by its number.
    instances : sequence of Instance
        The objects of the device beside 1 and 2.
    access : mapping of int to str
        Rights on them by Short Server ID.
    """
    found = [Account(number, uri, settings(number)) for number, uri in enumerate(servers)]
    own: list[Instance] = [ServerInstance(one.settings, options, one, number=one.number) for one in found]
    if len(found) == 1:
        found[0].operations = Operations([*own, *instances], lwm2m=options.lwm2m, attributes=found[0].attributes)
        return tuple(found)
    controls: list[AccessInstance] = []
    for one in (*own, *instances):
        rights = {one.number + 1: _ALL} if one.definition.id == 1 else {0: _ALL, **access}
        controls.append(AccessInstance(len(controls), one, rights, options.lwm2m))
    found.append(Account(-1, "", ServerSettings(options.lifetime)))
    for account in found:
        account.operations = _Permitted(
            [*own, *controls, *instances],
            controls,
            short_id=account.short_id,
            lwm2m=options.lwm2m,
            attributes=account.attributes,
        )
    return tuple(found)


class AccessInstance:
    """`/2/x`: what each server may do with one object instance; a bootstrap alone could change it."""

    def __init__(self, number: int, of: Instance, rights: Mapping[int, str], lwm2m: str) -> None:
        self.definition: ObjectDefinition = ACCESS_CONTROL[lwm2m]
        self.number, self.of = number, (of.definition.id, of.number)
        self.acl = {who: sum(_BITS[right] for right in letters) for who, letters in sorted(rights.items())}

    def grants(self, right: str, short_id: int) -> bool:
        """Whether a server has a right: by its own entry, else by the default one."""
        return bool(self.acl.get(short_id, self.acl.get(0, 0)) & _BITS[right])

    def has(self, resource: int) -> bool:
        return resource in self.definition.resources

    def values(self) -> dict[int, Value]:
        """Whose rights these are, and who has which."""
        return {0: self.of[0], 1: self.of[1], 2: self.acl, 3: _NOBODY}

    def set(self, resource: int, value: Value) -> Code:
        raise Refusal(Code.UNAUTHORIZED, "the rights were made in the factory, and belong to no server")

    def clear(self, resource: int) -> None:
        """Nobody may."""

    def execute(self, resource: int, arguments: str) -> Code:
        raise Refusal(Code.METHOD_NOT_ALLOWED)


class _Permitted(Operations):
    """The operations of one server among several, as far as Object 2 lets it."""

    def __init__(
        self, instances: Iterable[Instance], controls: Iterable[AccessInstance], *, short_id: int, **more: Any
    ) -> None:
        super().__init__(instances, **more)
        self._short_id, self._controls = short_id, {one.of: one for one in controls}

    def readable(self) -> dict[str, Value]:
        """What this server may read."""
        return {path: value for path, value in super().readable().items() if self.permits("R", path)}

    def permits(self, right: str, path: str) -> bool:
        """Whether this server has a right on an instance, or on one of an object's."""
        number, *rest = (int(part) for part in path.strip("/").split("/"))
        return any(
            self._may(right, key) for key in self.instances if key[0] == number and (not rest or key[1] == rest[0])
        )

    def _may(self, right: str, key: tuple[int, int]) -> bool:
        control = self._controls.get(key)
        # Object 2 has none: whoever is a server may look at it, and its owner alone changes it.
        return right == "R" if control is None else control.grants(right, self._short_id)

    def _operation(self, request: aiocoap.Message) -> Callable[[aiocoap.Message], aiocoap.Message]:
        operation, path = super()._operation(request), path_of(request)
        for right, needing in (
            ("R", (self.read, self._write_attributes)),
            ("W", (self._write,)),
            ("E", (self._execute,)),
        ):
            if operation in needing:
                self._need(right, path)
        return operation

    def _checked(self, entries: Iterable[Entry]) -> dict[str, Value]:
        found = super()._checked(entries)
        for path in found:
            self._need("W", path)
        return found

    def _need(self, right: str, path: str) -> None:
        if not self.permits(right, path):
            raise Refusal(Code.UNAUTHORIZED, f"Object 2 grants this server no {right} on {path}")


def check_access(access: Mapping[int, str], servers: Sequence[str]) -> None:
    """Whether the servers and their rights are such.

    Raises
    ------
    BadInput
        For servers that are none or the same twice, and rights of a server that there is not, or that are none.

    Examples
    --------
    >>> check_access({3: "R"}, ["coap://192.0.2.1", "coap://192.0.2.2"])
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: access names server 3; 1 to 2 are there, and each has some of the letters R, W and E
    """
    if not servers or len(set(map(_address_of, servers))) < len(servers):
        raise BadInput(f"the servers of the device are {list(servers)}; one or more are expected, each once")
    for who, letters in access.items():
        if not 1 <= who <= len(servers) or not set(letters) <= set(_BITS) or len(servers) == 1:
            wrong = f"server {who}" if set(letters) <= set(_BITS) else f"the rights {letters!r}"
            there = f"1 to {len(servers)} are there" if len(servers) > 1 else "several servers are expected"
            raise BadInput(f"access names {wrong}; {there}, and each has some of the letters R, W and E")


def _address_of(uri: str) -> tuple[str, int]:
    """Host and port of a server."""
    parts = urllib.parse.urlsplit(uri)
    return parts.hostname or "", parts.port or (COAPS_PORT if parts.scheme == "coaps" else aiocoap.COAP_PORT)
