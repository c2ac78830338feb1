"""How the server delivers where it may choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.live.choosing import Offers, choose
from lwm2m_lab.live.object5 import PROTOCOLS

COAP, COAPS, HTTP, HTTPS = "coap://h/a", "coaps://h/a", "http://h/a", "https://h/a"


@pytest.mark.parametrize(
    ("uris", "delivery", "protocols", "secure", "uri", "why"),
    [
        ((COAP, HTTP), "2", [0, 2], False, COAP, "pull by coap: /5/0/8 lists coap, http, and the repository serves"),
        ((COAP, HTTP), "2", [2, 9], False, HTTP, "/5/0/8 lists http, 9"),
        ((COAP, HTTP), None, None, False, COAP, "there is no /5/0/8, which means coap"),
        ((COAP, HTTP), "2", [1, 3], False, None, "push: /5/0/8 lists coaps, https"),
        ((COAP, COAPS), "1", [0, 1], False, None, "/5/0/9 is 1"),
        ((), "2", [0], False, None, "push: /5/0/8 lists coap, and the repository does not have the image"),
        ((COAP, COAPS), "2", [0, 1], True, COAPS, "pull by coaps"),
        ((COAP, HTTPS), "2", [0, 3], True, HTTPS, "pull by https"),
        ((COAP, HTTP), "2", [0, 2], True, None, "but the device is registered over DTLS"),
        ((COAP, HTTP), "0", [0, 2], True, COAP, "pull by coap"),
    ],
)
def test_what_is_chosen_and_why(
    uris: tuple[str, ...], delivery: str | None, protocols: list[int] | None, secure: bool, uri: str | None, why: str
) -> None:
    choice = choose(Offers(uris, may_push=True), delivery=delivery, protocols=protocols, is_secure=secure)
    assert (choice.uri, choice.is_possible) == (uri, True)
    assert why in choice.why


@pytest.mark.parametrize(
    ("uris", "may_push", "why"),
    [
        (
            (COAP,),
            True,
            "the device takes a pull alone (/5/0/9 is 0), /5/0/8 lists https, and the repository serves coap",
        ),
        ((), True, "the repository does not have the image"),
    ],
)
def test_where_nothing_fits_it_is_said(uris: tuple[str, ...], may_push: bool, why: str) -> None:
    choice = choose(Offers(uris, may_push), delivery="0", protocols=[3])
    assert not choice.is_possible
    assert why in choice.why


@given(
    st.lists(st.sampled_from([COAP, COAPS, HTTP, HTTPS]), unique=True),
    st.sampled_from(["0", "1", "2", None, "7"]),
    st.none() | st.lists(st.integers(0, 6), unique=True),
    st.booleans(),
)
def test_what_is_possible_is_what_the_device_offers(
    uris: list[str], delivery: str | None, protocols: list[int] | None, secure: bool
) -> None:
    """Never a URI of a protocol that is not listed (the server must not write one), never a push to pull only."""
    choice = choose(Offers(tuple(uris), may_push=True), delivery=delivery, protocols=protocols, is_secure=secure)
    if choice.uri is not None and choice.is_possible:
        assert PROTOCOLS[choice.uri.partition(":")[0]] in ([0] if protocols is None else protocols)
        assert delivery != "1"
    elif choice.is_possible:
        assert delivery != "0"
