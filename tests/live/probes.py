"""Requests to a device by the book, and the code that each has to bring: asked in simulated time, and by libcoap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cbor2

from lwm2m_lab.wire.encoding import encode_senml_cbor, encode_senml_json, encode_tlv
from lwm2m_lab.wire.values import Entry

__all__ = ["ATTRIBUTES", "READS", "WRITES", "Probe", "accepted", "probes"]

TEXT, LINKS, OPAQUE, SENML_JSON, SENML_CBOR, TLV, LWM2M_CBOR = 0, 40, 42, 110, 112, 11542, 11544


@dataclass(frozen=True)
class Probe:
    """One request and the code of its answer; none of those that are refused changes anything."""

    method: str
    path: str
    code: str
    payload: bytes = b""
    content_format: int | None = None
    accept: int | None = None
    queries: tuple[str, ...] = ()
    #: Number and value of a further option.
    option: tuple[int, bytes] | None = None
    #: Content-Format of the answer; None where it does not matter.
    answer_format: int | None = None

    def __str__(self) -> str:
        said = [self.method, self.path or "/", *(f"?{one[:20]}" for one in self.queries)]
        said += [f"cf={self.content_format}"] if self.content_format is not None else []
        said += [f"accept={self.accept}"] if self.accept is not None else []
        said += [f"option={self.option[0]}"] if self.option else []
        return " ".join([*said, self.payload[:12].hex()]).strip()


def _read(path: str, code: str) -> Probe:
    return Probe("GET", path, code)


def _write(path: str, payload: bytes, content_format: int | None, code: str) -> Probe:
    return Probe("PUT", path, code, payload, content_format)


def _attributes(path: str, *queries: str) -> Probe:
    return Probe("PUT", path, "4.00", queries=queries)


#: Object 0 is the bootstrap server's, what is not there 4.04, what is not readable 4.05.
READS = (
    _read("/0", "4.01"),
    _read("/0/0/5", "4.01"),
    _read("/", "4.05"),
    _read("/2", "4.04"),
    _read("/5/1", "4.04"),
    _read("/5/0/4", "4.04"),
    _read("/5/0/99", "4.04"),
    _read("/5/0/x", "4.04"),
    _read("/5/0/8/7", "4.04"),
    _read("/5/0/0", "4.05"),
    _read("/5/0/2", "4.05"),
    _read("/3/0/4", "4.05"),
    _read("/5/0/7", "4.04"),
    _read("/3/0/19", "4.04"),
    _read("/rd", "4.04"),
)

#: Without a format 4.00, with an unknown one 4.15, out of type or range 4.00.
WRITES = (
    _write("/1/0/1", b"300", None, "4.00"),
    _write("/1/0/1", b"300", 50, "4.15"),
    _write("/1/0/1", b"many", TEXT, "4.00"),
    _write("/1/0/1", b"-5", TEXT, "4.00"),
    _write("/1/0/1", b"0", TEXT, "4.00"),
    _write("/1/0/1", b"4294967296", TEXT, "4.00"),
    _write("/1/0/5", b"9" * 400, TEXT, "4.00"),
    _write("/1/0/1", b"\x12", OPAQUE, "4.15"),
    _write("/5/0/1", b"coap://x", OPAQUE, "4.15"),
    _write("/1/0/1", encode_tlv([Entry("/1/0/2", 7)], base="/1/0"), TLV, "4.00"),
    _write("/1/0/1", b"\xc1", TLV, "4.00"),
    _write("/1/0/1", b"", TLV, "4.00"),
    _write("/1/0/6", b"maybe", TEXT, "4.00"),
    _write("/1/0/7", b"S", TEXT, "4.00"),
    _write("/1/0/0", b"5", TEXT, "4.05"),
    _write("/3/0/3", b"9.9", TEXT, "4.05"),
    _write("/5/0/3", b"2", TEXT, "4.05"),
    _write("/3/0/4", b"", TLV, "4.05"),
    _write("/5/0", b"x", TEXT, "4.15"),
    _write("/5", b"", TLV, "4.05"),
    _write("/5/0/1", b"x" * 256, TEXT, "4.00"),
    _write("/5/0/1", b"\xff\xfe", TEXT, "4.00"),
    _write("/5/0/1", encode_tlv([Entry("/5/0/1", "coap://x"), Entry("/5/0/3", 2)], base="/5/0"), TLV, "4.00"),
    _write("/0/0/0", b"coap://x", TEXT, "4.01"),
    _write("/7", b"", TLV, "4.04"),
)

ATTRIBUTES = (
    _attributes("/5/0/3", "pmin=x"),
    _attributes("/5/0/3", "pmin=-1"),
    _attributes("/5/0/3", "pmin=1.5"),
    _attributes("/5/0/3", "pmin=1_0"),
    _attributes("/5/0/3", "pmin=" + "9" * 250),
    _attributes("/5/0/3", "pmin=4294967296"),
    _attributes("/5/0/3", "gt=1e999"),
    _attributes("/5/0/3", "max=3"),
    _attributes("/5/0/3", "st=0"),
    _attributes("/5/0/3", "gt=nan"),
    _attributes("/5/0/3", "pmin=1", "pmin=2"),
    _attributes("/5/0/3", "gt=3", "lt=3"),
    _attributes("/5/0/3", "gt=3", "lt=1", "st=1"),
    _attributes("/5/0", "gt=3"),
    _attributes("/5/0/1", "st=1"),
)


def accepted(lwm2m: str) -> dict[int | None, int]:
    """The formats in which a version reads an object or an instance, by Accept."""
    later = {SENML_JSON: SENML_JSON, SENML_CBOR: SENML_CBOR}
    newest = {LWM2M_CBOR: LWM2M_CBOR} if lwm2m == "1.2" else {}
    return {None: TLV, TLV: TLV} if lwm2m == "1.0" else {None: SENML_JSON, TLV: TLV, **later, **newest}


def probes(lwm2m: str) -> Iterator[Probe]:
    """Every request of a version; the order matters to nobody, for what succeeds writes what was there."""
    yield from READS
    yield from WRITES
    yield from ATTRIBUTES
    yield from _reads(lwm2m)
    yield from _writes(lwm2m)
    yield from _others(lwm2m)
    yield from _composites(lwm2m)


def _reads(lwm2m: str) -> Iterator[Probe]:
    """Each level in each format: 2.05, or 4.06."""
    formats = accepted(lwm2m)
    for path in ("/3", "/3/0", "/5", "/5/0", "/1", "/1/0", "/5/0/8"):
        for accept, answer in formats.items():
            yield Probe("GET", path, "2.05", accept=accept, answer_format=answer)
        for accept in {TEXT, OPAQUE, LWM2M_CBOR, SENML_JSON, 11543, 60} - set(formats):
            yield Probe("GET", path, "4.06", accept=accept)
    for path in ("/3/0/3", "/5/0/3", "/5/0/5", "/5/0/9", "/1/0/1"):
        yield Probe("GET", path, "2.05", answer_format=TEXT)
        yield Probe("GET", path, "2.05", accept=TEXT, answer_format=TEXT)
        yield Probe("GET", path, "4.06", accept=OPAQUE)
    for path in ("/5", "/5/0", "/5/0/3", "/5/0/8"):
        yield Probe("GET", path, "2.05", accept=LINKS, answer_format=LINKS)
    yield Probe("GET", "/5/0/8/0", "4.04" if lwm2m == "1.0" else "2.05")
    yield Probe("GET", "/5/0/8/0", "4.04" if lwm2m == "1.0" else "4.05", accept=LINKS)


def _writes(lwm2m: str) -> Iterator[Probe]:
    """One value in each format; what a version does not have is 4.15."""
    bodies = {
        TEXT: b"86400",
        TLV: encode_tlv([Entry("/1/0/1", 86_400)], base="/1/0/1"),
        SENML_JSON: encode_senml_json([Entry("/1/0/1", 86_400)], base="/1/0/1"),
        SENML_CBOR: encode_senml_cbor([Entry("/1/0/1", 86_400)], base="/1/0/1"),
        LWM2M_CBOR: cbor2.dumps({1: {0: {1: 86_400}}}),
    }
    known = {TEXT, *accepted(lwm2m)}
    for content_format, body in bodies.items():
        yield _write("/1/0/1", body, content_format, "2.04" if content_format in known else "4.15")
    some = encode_tlv([Entry("/1/0/5", 86_400)], base="/1/0")
    yield Probe("POST", "/1/0", "2.04", some, TLV)
    yield Probe("PUT", "/1/0", "4.00", some, TLV)
    yield Probe("POST", "/1/0", "4.05", encode_tlv([Entry("/1/0/1", 7), Entry("/1/0/0", 2)], base="/1/0"), TLV)
    yield Probe("PUT", "/5", "2.04", queries=("pmin=10",))
    yield Probe("PUT", "/5", "2.04", queries=("pmin",))
    yield Probe("PUT", "/5/0/99", "4.04", queries=("pmin=1",))
    yield Probe("PUT", "/5/0/3", "4.00", b"x", queries=("pmin=1",))


def _others(lwm2m: str) -> Iterator[Probe]:
    """Execute, Create and Delete, options."""
    for arguments in (b"", b"0", b"0='hello'", b"0,1='x',2"):
        yield Probe("POST", "/1/0/8", "2.04", arguments)
    for arguments in (b"x", b"10", b"0='", b"0,,1", b"\xff", b"0=x"):
        yield Probe("POST", "/1/0/8", "4.00", arguments)
    for path in ("/3/0/3", "/5/0/0", "/5/0/1", "/5/0/3", "/1/0/1", "/5/0/2"):
        yield Probe("POST", path, "4.05")
    yield Probe("POST", "/5/0/99", "4.04")
    yield Probe("POST", "/5", "4.05", encode_tlv([Entry("/5/1/1", "")], base="/5"), TLV)
    for path in ("/5/0", "/5", "/5/0/3"):
        yield Probe("DELETE", path, "4.05")
    for number, code in ((1, "4.02"), (35, "5.05"), (39, "5.05"), (65_001, "4.02"), (65_000, "2.05"), (292, "2.05")):
        yield Probe("GET", "/5/0/3", code, option=(number, b"x"))


def _composites(lwm2m: str) -> Iterator[Probe]:
    """Read- and Write-Composite, which came with 1.1."""
    there, asked = lwm2m != "1.0", [Entry("/5/0/3", None), Entry("/3/0/3", None)]
    for content_format, body in (
        (SENML_JSON, encode_senml_json(asked, base="")),
        (SENML_CBOR, encode_senml_cbor(asked, base="")),
    ):
        answer = {"answer_format": content_format} if there else {}
        yield Probe("FETCH", "", "2.05" if there else "4.05", body, content_format, **answer)
        yield Probe("FETCH", "", "4.06" if there else "4.05", body, content_format, accept=TLV)
    for body, content_format, code in (
        (b"\x80", SENML_CBOR, "4.00"),
        (b"[]", SENML_JSON, "4.00"),
        (b"[]", TLV, "4.15"),
        (encode_senml_json([Entry("/0/0/5", None)], base=""), SENML_JSON, "4.01"),
        (encode_senml_json([Entry("/9/0/5", None)], base=""), SENML_JSON, "4.04"),
    ):
        yield Probe("FETCH", "", code if there else "4.05", body, content_format)
    for entries, code in (
        ([Entry("/1/0/1", 86_400)], "2.04"),
        ([Entry("/1/0/1", 901), Entry("/3/0/3", "9")], "4.05"),
        ([Entry("/1/0/1", 901), Entry("/5/0/99", "9")], "4.04"),
        ([Entry("/0/0/0", "x")], "4.01"),
    ):
        yield Probe("iPATCH", "", code if there else "4.05", encode_senml_json(entries, base=""), SENML_JSON)
