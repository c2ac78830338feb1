"""The encoders: read back by the decoders, and by cbor2 and json alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire.encoding import encode_lwm2m_cbor, encode_senml_cbor, encode_senml_json, encode_text, encode_tlv
from lwm2m_lab.wire.values import Entry, decode

SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=300),
    st.binary(max_size=70_000),
)
RESOURCES = st.dictionaries(st.integers(0, 65_535), SCALARS, min_size=1, max_size=8)


@given(RESOURCES)
def test_what_is_encoded_is_read_back(resources: dict[int, Any]) -> None:
    """Every format that names its types gives the values again; a composite answer does so without a base."""
    entries = [Entry(f"/5/0/{number}", value) for number, value in resources.items()]
    for payload, number in (
        (encode_senml_json(entries, base="/5/0"), 110),
        (encode_senml_json(entries, base=""), 110),
        (encode_senml_cbor(entries, base="/5"), 112),
        (encode_senml_cbor(entries, base=""), 112),
        (encode_lwm2m_cbor(entries), 11544),
    ):
        read = decode(payload, content_format=number, path="/5/0")
        assert [(one.path, one.value, type(one.value)) for one in read] == [
            (one.path, one.value, type(one.value)) for one in entries
        ]


@given(st.dictionaries(st.integers(0, 255), st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9))
def test_tlv_at_every_level(instances: dict[int, int]) -> None:
    """A multiple resource as part of its object, of its instance, alone, and one of its instances alone."""
    entries = [Entry(f"/5/0/8/{number}", value) for number, value in instances.items()]
    for path in ("/5", "/5/0", "/5/0/8"):
        read = decode(encode_tlv(entries, base=path), content_format=11542, path=path)
        assert [(one.path, int.from_bytes(one.value, "big", signed=True)) for one in read] == [
            (one.path, one.value) for one in entries
        ]  # type: ignore[arg-type]
    one = entries[0]
    (read_one,) = decode(encode_tlv([one], base=one.path), content_format=11542, path=one.path)
    assert read_one.path == one.path


def test_others_read_it_too() -> None:
    """json and cbor2 know nothing of LwM2M; the bytes of the fact sheet are ours."""
    entries = [Entry("/5/0/3", 1), Entry("/5/0/5", 0)]
    assert json.loads(encode_senml_json(entries, base="/5/0")) == [
        {"bn": "/5/0/", "n": "3", "v": 1},
        {"n": "5", "v": 0},
    ]
    assert cbor2.loads(encode_senml_cbor(entries, base="/5/0")) == [{-2: "/5/0/", 0: "3", 2: 1}, {0: "5", 2: 0}]
    assert encode_senml_cbor(entries, base="/5/0").hex() == "82a321652f352f302f0061330201a20061350200"
    assert encode_lwm2m_cbor(entries) == bytes.fromhex("a105a100a203010500")
    assert json.loads(encode_senml_json([Entry("/5/0/0", b"\xff\xfe")], base="/5/0/0"))[0]["vd"] == "__4"


def test_a_read_composite_names_paths_alone() -> None:
    """An entry without a value is its name."""
    asked = [Entry("/5/0", None), Entry("/3/0/3", None)]
    assert json.loads(encode_senml_json(asked, base="")) == [{"n": "/5/0"}, {"n": "/3/0/3"}]
    assert decode(encode_senml_cbor(asked, base=""), content_format=112, path="/") == asked


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, b"1"), (False, b"0"), (-7, b"-7"), (1.5, b"1.5"), ("ä", "ä".encode()), (b"\0\xff", b"AP8=")],
)
def test_text(value: Any, text: bytes) -> None:
    """Booleans are digits, opaque is base64."""
    assert encode_text(value) == text
    if isinstance(value, bytes):
        assert base64.b64decode(text) == value
