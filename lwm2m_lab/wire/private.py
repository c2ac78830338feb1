"""What is private in a capture: endpoint names, identities, serial numbers, hosts, keys, and the text of addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from lwm2m_lab.wire import coap, values
from lwm2m_lab.wire.columns import Columns

__all__ = ["Private", "find_in_messages", "is_managed"]

_URI = re.compile(rb"^[A-Za-z][A-Za-z0-9+.-]*://(?:(?P<user>[^/@?#]*)@)?(?P<host>\[[^\]]*\]|[^/:?#]*)")
#: Queries of a Register whose value names a device or its subscriber.
_PRIVATE_QUERIES = (b"sms=", b"mac=", b"imei=")
_URI_QUERY = 15
_READ, _WRITTEN = (1, 5), (2, 3, 7)
#: A payload longer than this is no reading of a resource.
LONGEST = 16384
_SECURITY = re.compile(r"^/0/\d+/(\d+)$")
_ADDRESSES = re.compile(r"^/4/0/[45](?:/\d+)?$")


@dataclass
class Private:
    """What has to be replaced, as the bytes that stand in the file.

    Attributes
    ----------
    names, identities, hosts, values : set of bytes
        Endpoint names, DTLS identities, host names, and serial numbers with whatever else is secret.
    address_texts : set of bytes
        IP addresses that are written as text.
    """

    names: set[bytes] = field(default_factory=set)
    identities: set[bytes] = field(default_factory=set)
    hosts: set[bytes] = field(default_factory=set)
    values: set[bytes] = field(default_factory=set)
    address_texts: set[bytes] = field(default_factory=set)

    def all(self) -> list[bytes]:
        """Every string."""
        return sorted(self.names | self.identities | self.hosts | self.values | self.address_texts)

    def add_uri(self, uri: bytes) -> None:
        """The host of a URI, and who is to log in there."""
        found = _URI.match(uri)
        if found is not None:
            self.add_host(found["host"])
            if found["user"]:
                self.values.add(found["user"])

    def add_host(self, host: bytes) -> None:
        """A host by its name, or by its address."""
        try:
            bare = host.strip(b"[]")
            ipaddress.ip_address(bare.decode())
            self.address_texts.add(bare)
        except ValueError:
            if host:
                self.hosts.add(host)


def is_managed(path: str) -> bool:
    """Whether a path is one of a device's own resources."""
    return path[1:].split("/", 1)[0].isdecimal()


def find_in_messages(columns: Columns, private: Private) -> None:
    """Add what the messages of a capture say."""
    for row in _first_rows(columns, "uri_query"):
        for query in coap.decode(columns.datagram(row)).values(_URI_QUERY):
            name, equals, value = query.partition(b"=")
            if name + equals == b"ep=":
                private.names.add(value)
            elif name + equals in _PRIVATE_QUERIES and value:
                private.values.add(value)
    for row, path in _carriers(columns):
        form = int(columns["content_format"][row])
        payload = columns.payload(row)
        try:
            entries = values.decode(payload, content_format=None if form < 0 else form, path=path)
        except values.Undecodable:
            entries = [values.Entry(path, payload)]
        for entry in entries:
            _add_entry(private, entry.path, _raw(entry.value))


def _first_rows(columns: Columns, name: str) -> list[int]:
    """The first row with each value of a text column."""
    codes, rows = np.unique(columns[name], return_index=True)
    return [int(row) for code, row in zip(codes, rows, strict=True) if code >= 0]


def _carriers(columns: Columns) -> Iterator[tuple[int, str]]:
    """Messages that may carry a private resource, and whose it is: rows and paths."""
    paths = columns.categories["uri_path"]
    wanted = np.array([_may_hold(path) for path in paths] + [True], bool)
    code, length = columns["code"], columns["payload_length"]
    fits = (length > 0) & (length <= LONGEST)
    asked: dict[tuple[int, int, int], str] = {}
    requests = (code > 0) & (code < 32) & wanted[columns["uri_path"]]
    responses = (code >= 64) & (code < 96) & fits
    for row in np.nonzero(requests | responses)[0].tolist():
        source, destination, token = (int(columns[name][row]) for name in ("src", "dst", "token"))
        if code[row] >= 64:
            path = asked.get((destination, source, token))
            if path is not None:
                yield row, path
            continue
        path = paths[columns["uri_path"][row]] if columns["uri_path"][row] >= 0 else "/"
        if code[row] in _READ:
            asked[source, destination, token] = path
        elif code[row] in _WRITTEN and fits[row]:
            yield row, "/" if path == "/dp" else path


def _may_hold(path: str) -> bool:
    """Whether a reading of this path may hold something private; the image does not."""
    first = path[1:].split("/", 1)[0]
    return path != "/5/0/0" and (first in ("0", "3", "4", "5") or path == "/dp")


def _raw(value: values.Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else b""


def _add_entry(private: Private, path: str, value: bytes) -> None:
    """One resource, if it is private."""
    if not value:
        return
    security = _SECURITY.match(path)
    if path == "/3/0/2":
        private.values.add(value)
    elif path == "/5/0/1" or (security and security[1] == "0"):
        private.add_uri(value)
    elif security and security[1] == "3":
        private.identities.add(value)
    elif security and security[1] in ("4", "5"):
        private.values.add(value)
    elif _ADDRESSES.match(path):
        private.add_host(value)
