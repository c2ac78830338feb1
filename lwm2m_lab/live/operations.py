"""What a server asks of a device (LwM2M, information reporting and device management): each operation on the tree.

An operation is told by method, path, Content-Format and queries; what an object makes of it is the object's: see
`Instance`. Every refusal is a code and a word why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live import tree
from lwm2m_lab.live.attributes import AttributeStore
from lwm2m_lab.live.requests import path_of
from lwm2m_lab.live.tree import Refusal, Value
from lwm2m_lab.spec.objects import ObjectDefinition, Resource
from lwm2m_lab.wire import links, values

__all__ = ["Instance", "Operations"]

#: Arguments of an Execute: ``0='x',1`` (LwM2M, Execute).
_ARGUMENTS = re.compile(r"(\d(='[^']*')?(,\d(='[^']*')?)*)?")
_COMPOSITE = {Code.FETCH, Code.iPATCH}


class Instance(Protocol):
    """One object instance of a device."""

    definition: ObjectDefinition
    number: int

    def has(self, resource: int) -> bool:
        """Whether the device has this resource, readable or not."""

    def values(self) -> dict[int, Value]:
        """The resources that can be read now."""

    def set(self, resource: int, value: Value) -> Code:
        """Take a value of the resource's type; the code of the answer."""

    def clear(self, resource: int) -> None:
        """Forget an optional value, as a Write that replaces the instance does."""

    def execute(self, resource: int, arguments: str) -> Code:
        """Do what the resource stands for; the code of the answer."""


class Operations:
    """The operations on the objects of one device.

    Parameters
    ----------
    instances : iterable of Instance
    lwm2m : {"1.0", "1.1", "1.2"}
    attributes : AttributeStore
    """

    def __init__(self, instances: Iterable[Instance], *, lwm2m: str, attributes: AttributeStore) -> None:
        #: By object and instance.
        self.instances: Mapping[tuple[int, int], Instance] = {(one.definition.id, one.number): one for one in instances}
        self._objects = {number for number, _ in self.instances}
        self.lwm2m, self.attributes = lwm2m, attributes

    def readable(self) -> dict[str, Value]:
        """Every resource that can be read now, by path."""
        return {
            f"/{number}/{which}/{resource}": value
            for (number, which), instance in self.instances.items()
            for resource, value in instance.values().items()
        }

    def permits(self, right: str, path: str) -> bool:
        """Whether whoever asks has a right, R, W or E, on what a path names."""
        return True

    def perform(self, request: aiocoap.Message) -> aiocoap.Message:
        """The answer to one request whose body is whole."""
        try:
            return self._operation(request)(request)
        except Refusal as refusal:
            return aiocoap.Message(code=refusal.code, payload=str(refusal).encode())
        except tree.Unacceptable:
            return aiocoap.Message(code=Code.NOT_ACCEPTABLE)

    def _operation(self, request: aiocoap.Message) -> Callable[[aiocoap.Message], aiocoap.Message]:
        """Which operation a request is (LwM2M, transport bindings)."""
        code, path = request.code, path_of(request)
        if code in _COMPOSITE and path == "/" and self.lwm2m != "1.0":
            return self._read_composite if code == Code.FETCH else self._write_composite
        depth = self._depth(path)
        if code == Code.GET and depth:
            if request.opt.accept != tree.LINK_FORMAT:
                return self.read
            if depth < 4:  # Discover ends at the resource; how many instances it has is its `dim`.
                return self._discover
        if code == Code.PUT and request.opt.uri_query and request.opt.content_format is None and depth:
            return self._write_attributes
        if depth == 3 and code == Code.POST and self._is_execute(request, path):
            return self._execute
        # Without a Content-Format a POST to a resource is an Execute, whatever the resource is (A11).
        executes = code == Code.POST and depth == 3 and request.opt.content_format is None
        if code in (Code.PUT, Code.POST) and depth in (2, 3) and not executes:
            return self._write
        raise Refusal(Code.METHOD_NOT_ALLOWED)

    def _depth(self, path: str) -> int:
        """How deep a path reaches into the tree: 1 an object, 2 an instance, 3 a resource, 4 one of its instances.

        Raises
        ------
        Refusal
            4.01 for Object 0, which is a bootstrap server's alone; 4.04 for what is not there.
        """
        parts = [part for part in path.split("/") if part]
        if not parts:
            return 0
        if parts[0] == "0":
            raise Refusal(Code.UNAUTHORIZED, "Object 0 belongs to the bootstrap server")
        numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < 6 else -1 for part in parts]
        there = numbers[0] in self._objects and len(parts) <= (3 if self.lwm2m == "1.0" else 4)
        if there and len(parts) > 1:
            instance = self.instances.get((numbers[0], numbers[1]))
            there = instance is not None and (len(parts) == 2 or instance.has(numbers[2]))
        if there and len(parts) > 3:
            there = any(entry.path == path for entry in tree.spread(path, self.readable()))
        if not there:
            raise Refusal(Code.NOT_FOUND)
        return len(parts)

    def _resource(self, path: str) -> tuple[Instance, int]:
        number, which, resource = (int(part) for part in path.strip("/").split("/"))
        return self.instances[number, which], resource

    def _definition(self, path: str) -> Resource:
        """What the object says of a resource."""
        instance, resource = self._resource(path)
        return instance.definition.resources[resource]

    def _offers(self, path: str) -> str:
        """Which of R, W and E a resource offers."""
        return self._definition(path).operations

    # ---------------------------------------------------------------- reading

    def read(self, request: aiocoap.Message) -> aiocoap.Message:
        """A Read at any level; a resource that is not readable is answered 4.05, one without a value 4.04."""
        path = path_of(request)
        if path.count("/") == 3 and "R" not in self._offers(path):
            raise Refusal(Code.METHOD_NOT_ALLOWED)
        try:
            content_format, payload = tree.represent(path, self.readable(), accept=request.opt.accept, lwm2m=self.lwm2m)
        except KeyError:
            raise Refusal(Code.NOT_FOUND) from None
        return aiocoap.Message(code=Code.CONTENT, payload=payload, content_format=content_format)

    def _discover(self, request: aiocoap.Message) -> aiocoap.Message:
        """The object, its instances and their resources, with the attributes of each."""
        path = path_of(request)
        number = int(path.split("/")[1])
        known: list[tuple[str, dict[str, str]]] = []
        for (which, at), instance in self.instances.items():
            if which != number:
                continue
            version = {"ver": instance.definition.version} if self.lwm2m != "1.0" else {}
            known += [] if known else [(f"/{number}", version)]
            known.append((f"/{number}/{at}", {}))
            shown = instance.values()
            for resource in sorted(instance.definition.resources):
                if instance.has(resource):
                    many = shown.get(resource)
                    more = {"dim": str(len(many))} if isinstance(many, tuple | Mapping) else {}
                    known.append((f"/{number}/{at}/{resource}", more))
        found = [
            links.Link(name, {**more, **self.attributes.of(name).texts()})
            for name, more in known
            if name == path or name.startswith(path + "/")
        ]
        return aiocoap.Message(code=Code.CONTENT, payload=links.format_links(found), content_format=tree.LINK_FORMAT)

    def composite_paths(self, request: aiocoap.Message) -> tuple[str, ...]:
        """The paths that a Read- or Observe-Composite names."""
        entries = self._entries(request, "/")
        paths = tuple(dict.fromkeys(entry.path for entry in entries))
        if not paths or any(entry.value is not None for entry in entries):
            raise Refusal(Code.BAD_REQUEST, "a Read-Composite names paths, and no values")
        for path in paths:
            if path == "/0" or path.startswith("/0/"):
                raise Refusal(Code.UNAUTHORIZED, "Object 0 belongs to the bootstrap server")
        return paths

    def _read_composite(self, request: aiocoap.Message) -> aiocoap.Message:
        """The values of several paths; those that are not there are left out."""
        readable = self.readable()
        found = {entry.path: entry for path in self.composite_paths(request) for entry in tree.spread(path, readable)}
        if not found:
            raise Refusal(Code.NOT_FOUND)
        accept = request.opt.content_format if request.opt.accept is None else request.opt.accept
        payload = tree.pack(found.values(), accept, self.lwm2m)
        return aiocoap.Message(code=Code.CONTENT, payload=payload, content_format=accept)

    # ---------------------------------------------------------------- writing

    def _entries(self, request: aiocoap.Message, path: str) -> list[values.Entry]:
        """What a request carries, by path.

        Raises
        ------
        Refusal
            4.00 without a Content-Format or for a payload that is not of it, 4.15 for a format that does not fit.
        """
        content_format = request.opt.content_format
        if content_format is None:
            raise Refusal(Code.BAD_REQUEST, "a Content-Format is expected")
        content_format = int(content_format)
        names_paths = content_format not in (tree.TEXT, tree.OCTET_STREAM)
        fits = names_paths if path.count("/") < 3 else True
        if path == "/":
            fits = content_format in (tree.SENML_JSON, tree.SENML_CBOR, tree.LWM2M_CBOR)
        if content_format not in tree.formats(self.lwm2m) or not fits:
            raise Refusal(Code.UNSUPPORTED_CONTENT_FORMAT)
        if not names_paths:
            # One value as it is: a reader of captures may look for better, a device takes the sender's word.
            if content_format == tree.OCTET_STREAM and self._definition(path).type != "Opaque":
                raise Refusal(Code.UNSUPPORTED_CONTENT_FORMAT, f"{path} is no Opaque, and octets are of no other type")
            text = request.payload if content_format == tree.OCTET_STREAM else _text(request.payload)
            return [values.Entry(path, text)]
        try:
            entries = values.decode(request.payload, content_format=content_format, path=path)
        except values.Undecodable as error:
            raise Refusal(Code.BAD_REQUEST, str(error)[:120]) from None
        if any(entry.path != path and not entry.path.startswith(path.rstrip("/") + "/") for entry in entries):
            raise Refusal(Code.BAD_REQUEST, f"the payload holds something else than {path}")
        return entries

    def _write(self, request: aiocoap.Message) -> aiocoap.Message:
        """Write: PUT replaces, POST adds to what is there; all of it or nothing."""
        path = path_of(request)
        if path.count("/") == 3 and "W" not in self._offers(path):
            raise Refusal(Code.METHOD_NOT_ALLOWED)
        entries = self._entries(request, path)
        if path.count("/") == 3 and [entry.path for entry in entries] != [path]:
            raise Refusal(Code.BAD_REQUEST, f"one value of {path} is expected")
        checked = self._checked(entries)
        if request.code == Code.PUT and path.count("/") == 2:
            self._clear_others(path, checked)
        return aiocoap.Message(code=self._apply(checked))

    def _write_composite(self, request: aiocoap.Message) -> aiocoap.Message:
        """Write-Composite: all of it or nothing."""
        return aiocoap.Message(code=self._apply(self._checked(self._entries(request, "/"))))

    def _checked(self, entries: Iterable[values.Entry]) -> dict[str, Value]:
        """The values to be written, each as the type of its resource."""
        found: dict[str, Value] = {}
        for entry in entries:
            if self._depth(entry.path) != 3:
                raise Refusal(Code.BAD_REQUEST, f"{entry.path} is no resource")
            if "W" not in self._offers(entry.path):
                raise Refusal(Code.METHOD_NOT_ALLOWED, f"{entry.path} is not writable")
            instance, resource = self._resource(entry.path)
            found[entry.path] = tree.typed(entry.value, instance.definition.resources[resource])
        if not found:
            raise Refusal(Code.BAD_REQUEST, "nothing to write")
        return found

    def _clear_others(self, path: str, written: Mapping[str, Value]) -> None:
        """A Write that replaces the instance: what it leaves out is gone, what is mandatory it may not leave out."""
        number, which = (int(part) for part in path.strip("/").split("/"))
        instance = self.instances[number, which]
        others = [
            row
            for row in instance.definition.resources.values()
            if row.operations == "RW" and instance.has(row.id) and f"{path}/{row.id}" not in written
        ]
        missing = [row.name for row in others if row.mandatory]
        if missing:
            raise Refusal(Code.BAD_REQUEST, f"a new instance needs {', '.join(missing)}")
        for row in others:
            instance.clear(row.id)

    def _apply(self, checked: Mapping[str, Value]) -> Code:
        for path, value in checked.items():
            instance, resource = self._resource(path)
            code = instance.set(resource, value)
            if not code.is_successful():
                return code
        return Code.CHANGED

    def _write_attributes(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.payload:
            raise Refusal(Code.BAD_REQUEST, "Write-Attributes has no payload")
        path = path_of(request)
        told = self.readable().get(path)
        is_number = isinstance(told, int | float) and not isinstance(told, bool)
        self.attributes.write(path, request.opt.uri_query, is_number=is_number)
        return aiocoap.Message(code=Code.CHANGED)

    # ---------------------------------------------------------------- executing

    def _is_execute(self, request: aiocoap.Message, path: str) -> bool:
        """A POST without a Content-Format, or with text, on something executable (A11)."""
        return request.opt.content_format in (None, tree.TEXT) and "E" in self._offers(path)

    def _execute(self, request: aiocoap.Message) -> aiocoap.Message:
        arguments = _text(request.payload)
        if not _ARGUMENTS.fullmatch(arguments):
            raise Refusal(Code.BAD_REQUEST, "arguments such as 0='x',1 are expected")
        instance, resource = self._resource(path_of(request))
        return aiocoap.Message(code=instance.execute(resource, arguments))


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Refusal(Code.BAD_REQUEST, "text in UTF-8 is expected") from None
