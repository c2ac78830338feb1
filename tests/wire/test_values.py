"""Payloads of every format: there and back, against other encoders, and refused in a word where they are none."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire import tlv
from lwm2m_lab.wire.encoding import encode_senml_cbor, encode_senml_json, encode_tlv
from lwm2m_lab.wire.links import Link, NoLinkFormat, format_links, parse_links
from lwm2m_lab.wire.values import Entry, Undecodable, as_integer, as_text, decode, unwrap_package

FORMATS = [None, 0, 40, 42, 60, 110, 112, 320, 322, 1542, 1543, 11542, 11543, 11544, 9999]
READINGS = [Entry("/5/0/3", 2), Entry("/5/0/5", 0), Entry("/5/0/7", "2.1.0")]


def shown(entries: list[Entry]) -> list[tuple[str, str | int | None]]:
    """Paths with numbers as numbers and everything else as text."""
    return [
        (one.path, as_text(one.value) if one.path in ("/5/0/7", "/5/0/6", "/3/0/3") else as_integer(one.value))
        for one in entries
    ]


EXPECTED = [("/5/0/3", 2), ("/5/0/5", 0), ("/5/0/7", "2.1.0")]


def test_one_reading_in_every_format() -> None:
    """TLV, SenML in JSON and CBOR, the old JSON and LwM2M CBOR tell the same three values."""
    old = {"bn": "/5/0/", "e": [{"n": "3", "v": 2}, {"n": "5", "v": 0}, {"n": "7", "sv": "2.1.0"}]}
    nested = {5: {0: {3: 2, 5: 0, 7: "2.1.0"}}}
    assert shown(decode(encode_tlv(READINGS, base="/5/0"), content_format=11542, path="/5/0")) == EXPECTED
    assert shown(decode(encode_senml_json(READINGS, base="/5/0"), content_format=110, path="/5/0")) == EXPECTED
    assert shown(decode(encode_senml_cbor(READINGS, base="/5/0"), content_format=112, path="/5/0")) == EXPECTED
    assert shown(decode(json.dumps(old).encode(), content_format=11543, path="/5/0")) == EXPECTED
    assert shown(decode(cbor2.dumps(nested), content_format=11544, path="/5/0")) == EXPECTED


def test_senml_base_fields() -> None:
    """A base name may change on the way, and a base value is added (RFC 8428, 4.1)."""
    pack = [{"bn": "/5/0/", "bv": 1, "n": "3", "v": 1}, {"n": "5"}, {"bn": "/3/0/", "n": "3", "vs": "1.0"}]
    assert shown(decode(json.dumps(pack).encode(), content_format=110, path="/")) == [
        ("/5/0/3", 2), ("/5/0/5", 1), ("/3/0/3", "1.0"),
    ]  # fmt: skip


def test_senml_labelled_text_is_read_as_what_it_is() -> None:
    """A server in the field sends SenML JSON as text/plain; a version that begins like it stays text."""
    assert decode(b'[{"n":"/5/0/3","v":1}]', content_format=0, path="/5/0/3") == [Entry("/5/0/3", 1)]
    assert decode(b"[beta]", content_format=0, path="/3/0/3") == [Entry("/3/0/3", "[beta]")]


@given(st.integers(-(2**63), 2**63 - 1))
def test_tlv_integers(value: int) -> None:
    """Written in the shortest of 1, 2, 4, 8 bytes, read as they were."""
    raw = tlv.encode_integer(value)
    assert as_integer(raw) == value
    assert len(raw) in (1, 2, 4, 8)


@given(st.integers(0, 3), st.integers(0, 65535), st.binary(max_size=70_000) | st.just(bytes(70_000)))
def test_tlv_records(kind: int, identifier: int, value: bytes) -> None:
    """Every width of identifier and length."""
    assert list(tlv.records(tlv.encode_record(kind, identifier, value))) == [(kind, identifier, value)]


PATHS = st.lists(st.integers(0, 70), min_size=1, max_size=5, unique=True)


@given(PATHS, st.data())
def test_encoders_and_decoders_are_inverse(resources: list[int], data: st.DataObject) -> None:
    """Whatever the values, TLV gives the bytes back, SenML the values."""
    values = st.integers(-(2**31), 2**31) | st.text(max_size=8) | st.binary(max_size=300) | st.booleans()
    entries = [Entry(f"/5/0/{resource}", data.draw(values)) for resource in resources]
    for encode, number in ((encode_senml_json, 110), (encode_senml_cbor, 112)):
        back = decode(encode(entries, base="/5/0"), content_format=number, path="/5/0")
        assert back == entries
    raw = decode(encode_tlv(entries, base="/5/0"), content_format=11542, path="/5/0")
    assert [entry.path for entry in raw] == [entry.path for entry in entries]


@given(st.sampled_from(FORMATS), st.binary(max_size=120))
def test_any_bytes_are_values_or_undecodable(content_format: int | None, payload: bytes) -> None:
    """A payload that is not of its format raises one error of one line, and nothing else."""
    try:
        entries = decode(payload, content_format=content_format, path="/5/0")
    except Undecodable as error:
        assert "\n" not in str(error).replace(repr(payload), "")
    else:
        assert all(entry.path.startswith("/") or content_format in (110, 112, 320, 322, None, 0) for entry in entries)


@pytest.mark.parametrize("number", [110, 112, 11543, 11544])
@given(
    junk=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=3) | st.sampled_from(["bn", "n", "v", "vs", "vd", "e", "bv"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_any_document_is_values_or_undecodable(number: int, junk: Any) -> None:
    """Well-formed JSON and CBOR of the wrong shape is refused the same way."""
    payload = cbor2.dumps(junk) if number in (112, 11544) else json.dumps(junk).encode()
    try:
        assert isinstance(decode(payload, content_format=number, path="/5/0"), list)
    except Undecodable as error:
        assert "Content-Format" in str(error)


def test_bombs_are_refused() -> None:
    """Deep nesting and endless lists end in a word, not in memory."""
    deep: Any = 1
    for _ in range(50):
        deep = {1: deep}
    for payload in (cbor2.dumps(deep), b"\x9f" + b"\x81" * 5000, b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"):
        with pytest.raises(Undecodable):
            decode(payload, content_format=11544, path="/")
    with pytest.raises(Undecodable):
        decode(b"[" * 100_000, content_format=110, path="/")


@pytest.mark.parametrize(
    ("content_format", "wrap"),
    [
        (42, lambda image: image),
        (None, lambda image: image),
        (11542, lambda image: tlv.encode_record(3, 0, image)),
        (110, lambda image: encode_senml_json([Entry("/5/0/0", image)], base="/5/0/0")),
        (112, lambda image: encode_senml_cbor([Entry("/5/0/0", image)], base="/5/0/0")),
        (11543, lambda image: json.dumps({"bn": "/5/0/0", "e": [{"sv": base64.b64encode(image).decode()}]}).encode()),
        (0, lambda image: base64.b64encode(image)),
        (0, lambda image: encode_senml_json([Entry("/5/0/0", image)], base="/5/0/0")),
    ],
)
@given(image=st.binary(min_size=1, max_size=400))
def test_the_package_comes_out_of_its_wrapping(content_format: int | None, wrap: Any, image: bytes) -> None:
    """Whatever a server wraps the image in, the image is what is hashed."""
    assert unwrap_package(wrap(image), content_format) == image


def test_a_package_of_another_format_is_none() -> None:
    """A TLV body cut short, or one that holds no package."""
    assert unwrap_package(tlv.encode_record(3, 0, b"x" * 40)[:-1], 11542) is None
    assert unwrap_package(tlv.encode_record(3, 1, b"coap://x"), 11542) is None


@given(
    st.lists(
        st.builds(
            Link,
            st.text(st.characters(codec="ascii", exclude_characters='<>",;\\', min_codepoint=33), max_size=8),
            st.dictionaries(
                st.from_regex(r"[a-z]{1,4}", fullmatch=True),
                st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=6),
                max_size=3,
            ),
        ),
        max_size=4,
    )
)
def test_links_come_back(links: list[Link]) -> None:
    """Whatever stands in an attribute's value, quotes and commas too."""
    assert parse_links(format_links(links)) == links


@given(st.binary(max_size=60))
def test_any_bytes_are_links_or_none(payload: bytes) -> None:
    """Never another error."""
    try:
        parse_links(payload)
    except NoLinkFormat as error:
        assert "expected" in str(error)


# ---------------------------------------------------------------- as devices in the field say it


@pytest.mark.parametrize(
    ("form", "payload", "path"),
    [
        (110, b'[{"bn":"/5/0/","n":"3","v":2},{"n":"5","v":0}]', "/5/0"),
        (110, b'[{"bn":"/5/0","n":"3","v":2},{"n":"5","v":0}]', "/5/0"),
        (110, b'[{"n":"3","v":2},{"n":"5","v":0}]', "/5/0"),
        (110, b'[{"n":"5/0/3","v":2},{"n":"5/0/5","v":0}]', "/5/0"),
        (110, b'[{"bn":"/","n":"5/0/3","v":2},{"n":"5/0/5","v":0}]', "/"),
        (110, b'[{"bn":"/5/0/","bt":1.7e9,"n":"3","v":2,"t":1},{"n":"5","v":0}]', "/5"),
        (11543, b'{"bn":"/5/0/","e":[{"n":"3","v":2},{"n":"5","v":0}]}', "/5/0"),
        (1543, b'{"e":[{"n":"3","v":2},{"n":"5","v":0}]}', "/5/0"),
        (11543, b'{"bn":"/5","e":[{"n":"0/3","v":2},{"n":"0/5","v":0}]}', "/5"),
        (11544, bytes.fromhex("a1820500a203020500"), "/5/0"),
        (11544, bytes.fromhex("bf05bf00bf03020500ffffff"), "/5/0"),
        (11544, bytes.fromhex("a203020500"), "/5/0"),
        (11544, bytes.fromhex("a283050003028305000500"), "/"),
        (112, bytes.fromhex("9fbf21652f352f302f0061330202ffa20061350200ff"), "/5/0"),
        (1542, bytes.fromhex("c10302c10500"), "/5/0"),
        (11542, bytes.fromhex("080006c10302c10500"), "/5"),
        # Content-Formats that are missing or wrong: the bytes tell.
        (None, bytes.fromhex("c10302c10500"), "/5/0"),
        (0, bytes.fromhex("c10302c10500"), "/5/0"),
        (42, b'[{"bn":"/5/0/","n":"3","v":2},{"n":"5","v":0}]', "/5/0"),
        (None, b'{"bn":"/5/0/","e":[{"n":"3","v":2},{"n":"5","v":0}]}', "/5/0"),
        (None, bytes.fromhex("82a321652f352f302f0061330202a20061350200"), "/5/0"),
    ],
)  # fmt: skip
def test_the_same_two_values(form: int | None, payload: bytes, path: str) -> None:
    """However the names are cut, whatever the format is called."""
    assert shown(decode(payload, content_format=form, path=path)) == [("/5/0/3", 2), ("/5/0/5", 0)]


def test_attributes_are_no_values() -> None:
    """What a Discover answers names resources."""
    assert decode(b"</5/0/3>;pmin=10,</5/0/5>", content_format=40, path="/5/0") == []
    assert decode(b"</5/0/3>;pmin=10,</5/0/5>", content_format=None, path="/5/0") == []


def test_resource_instances() -> None:
    """/5/0/8 has several, in each format."""
    tlv_bytes, wanted = bytes.fromhex("8608410000410101"), [("/5/0/8/0", 0), ("/5/0/8/1", 1)]
    assert shown(decode(tlv_bytes, content_format=11542, path="/5/0")) == wanted
    assert shown(decode(tlv_bytes[2:], content_format=11542, path="/5/0/8")) == wanted
    assert shown(decode(cbor2.dumps({5: {0: {8: {0: 0, 1: 1}}}}), content_format=11544, path="/5/0/8")) == wanted
    pack = [{"bn": "/5/0/8/", "n": "0", "v": 0}, {"n": "1", "v": 1}]
    assert shown(decode(json.dumps(pack).encode(), content_format=110, path="/5/0/8")) == wanted
    assert shown(decode(b'{"e":[{"n":"0","v":0},{"n":"1","v":1}]}', content_format=11543, path="/5/0/8")) == wanted


def test_cbor_numbers_of_every_kind() -> None:
    """Decimal fractions, dates and half floats are numbers; those of no sensor are refused."""
    assert decode(bytes.fromhex("c48220190113"), content_format=60, path="/3303/0/5700") == [
        Entry("/3303/0/5700", 27.5)
    ]
    assert decode(bytes.fromhex("c11a65e11a80"), content_format=60, path="/3/0/13") == [Entry("/3/0/13", 1709251200)]
    assert decode(bytes.fromhex("f94e00"), content_format=60, path="/3303/0/5700") == [Entry("/3303/0/5700", 24.0)]
    with pytest.raises(Undecodable):
        decode(bytes.fromhex("c4821a7fffffff01"), content_format=60, path="/3303/0/5700")


@pytest.mark.parametrize("form", [60, 112, 11544])
@pytest.mark.parametrize(
    "payload",
    [
        b"\x9b" + (1 << 60).to_bytes(8, "big"), b"\xbb" + (1 << 60).to_bytes(8, "big"),
        b"\x5b" + (1 << 60).to_bytes(8, "big") + b"x", b"\x7a\x7f\xff\xff\xffx", b"\x81" * 50_000 + b"\0",
        b"\xa1\0" * 50_000 + b"\0", b"\xc1" * 50_000 + b"\0", b"\xd8\x1c\x81\xd8\x1d\0",
    ],
)  # fmt: skip
def test_cbor_that_announces_too_much(form: int, payload: bytes) -> None:
    """2^60 items that never come, 50,000 levels, a list that holds itself: refused at once, in no memory."""
    with pytest.raises(Undecodable):
        decode(payload, content_format=form, path="/5/0")


def test_deep_json_and_many_records() -> None:
    """The same for the formats of text and for TLV."""
    for form, payload in [
        (110, b"[" * 100_000),
        (11543, b'{"e":' * 100_000),
        (110, b'[{"n":"/5/0/3","v":' + b"9" * 9000 + b"}]"),
    ]:
        with pytest.raises(Undecodable):
            decode(payload, content_format=form, path="/5/0")
    with pytest.raises(Undecodable, match="more than 100000 values"):
        decode(b"\xc0\x03" * 100_001, content_format=11542, path="/5/0")
