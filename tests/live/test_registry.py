"""Registrations by the book: what a server answers to Register, Update and De-register, and what it keeps."""

from __future__ import annotations

from typing import Any

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.registry import Limits, Registration, Registry
from lwm2m_lab.live.tree import Refusal

GOOD = ("lwm2m=1.1", "ep=a")
LINKS = b"</>;rt=oma.lwm2m,</1/0>,</3/0>,</5>;ver=1.1,</5/0>"


def request(*query: str, payload: bytes = LINKS, path: str = "/rd", remote: Any = "here", **options: Any) -> Any:
    """A request of a device, as far as a registry looks at it."""
    message = aiocoap.Message(code=Code.POST, payload=payload, uri_query=query, uri_path=path.split("/")[1:], **options)
    message.remote = remote
    return message


def refusal(registry: Registry, *query: str, **more: Any) -> str:
    """How a Register is refused."""
    with pytest.raises(Refusal) as refused:
        registry.register(request(*query, **more), now=0.0)
    return f"{refused.value.code.dotted} {refused.value}"


def test_a_registration_is_kept() -> None:
    """With its location, links, lifetime, binding, and the version of each object."""
    registry = Registry()
    answer = registry.register(request(*GOOD, "lt=300", "b=U", "Q"), now=5.0)
    assert (answer.code, answer.opt.location_path) == (Code.CREATED, ("rd", "1"))
    one = registry.by_endpoint["a"]
    assert (one.lifetime, one.binding, one.queue_mode, one.lwm2m, one.heard_at) == (300, "U", True, "1.1", 5.0)
    assert one.objects == ("/", "/1/0", "/3/0", "/5", "/5/0")
    assert (one.version_of(5), one.version_of(3)) == ("1.1", "1.0")


def test_what_is_refused() -> None:
    """Each with its code and a diagnostic; nothing is kept of it."""
    registry = Registry(allowed={"a"}, limits=Limits(links=1000))
    many = b",".join(b"</%d/0>" % number for number in range(1001))
    assert refusal(registry, "ep=a") == "4.00 lwm2m= and ep= are expected"
    assert refusal(registry, "lwm2m=1.1") == "4.00 lwm2m= and ep= are expected"
    assert refusal(registry, "lwm2m=9.9", "ep=a") == "4.12 LwM2M 1.0, 1.1, 1.2 are spoken here"
    assert refusal(registry, "lwm2m=1.1", "ep=b") == "4.03 this endpoint name may not register here"
    assert refusal(registry, *GOOD, "ep=b") == "4.00 'ep' comes twice"
    assert refusal(registry, *GOOD, "colour=red") == "4.00 'colour' is unknown"
    assert refusal(registry, *GOOD, "lt=-1").startswith("4.00 lt= is a number")
    assert refusal(registry, *GOOD, "lt=4294967296").startswith("4.00 lt=")
    assert refusal(registry, *GOOD, "b=X").startswith("4.00 b= is made")
    assert refusal(registry, *GOOD, payload=b"5/0").startswith("4.00 link format breaks off")
    assert refusal(registry, *GOOD, payload=b"\xff").startswith("4.00 1 bytes are no link format")
    assert refusal(registry, *GOOD, payload=many) == "4.13 a registration has at most 1000 links"
    assert refusal(registry, *GOOD, content_format=0) == "4.15 link format (40) is expected"
    assert registry.by_endpoint == registry.by_location == {}
    open_minded = Registry(parameters=("colour",))
    open_minded.register(request(*GOOD, "colour=red"), now=0.0)
    assert refusal(open_minded, *GOOD, "shape=round") == "4.00 'shape' is unknown"


def test_a_thousand_links_are_welcome() -> None:
    """They are many, and legal."""
    registry = Registry()
    registry.register(request(*GOOD, payload=b",".join(b"</%d/0>" % number for number in range(1000))), now=0.0)
    assert len(registry.by_endpoint["a"].links) == 1000


def test_an_update_changes_what_it_names() -> None:
    """Lifetime, links, queue mode and the address that it comes from; the rest stays."""
    registry = Registry()
    registry.register(request(*GOOD, "lt=300"), now=0.0)
    answer = registry.update(request("lt=60", payload=b"</5/0>", path="/rd/1", remote="there"), now=9.0)
    one = registry.by_endpoint["a"]
    assert answer.code == Code.CHANGED
    assert (one.lifetime, one.objects, one.remote, one.heard_at) == (60, ("/5/0",), "there", 9.0)
    registry.update(request("Q", payload=b"", path="/rd/1"), now=10.0)
    assert (registry.by_endpoint["a"].queue_mode, registry.by_endpoint["a"].objects) == (True, ("/5/0",))
    registry.update(request("b=U", payload=b"", path="/rd/1"), now=10.0)
    assert not registry.by_endpoint["a"].queue_mode
    with pytest.raises(Refusal, match="'ep' is unknown"):
        registry.update(request("ep=b", payload=b"", path="/rd/1"), now=11.0)


def test_a_lifetime_ends() -> None:
    """An Update in time prolongs it, one that comes too late is answered 4.04; lifetime 0 has no end."""
    told: list[str] = []
    registry = Registry(told=lambda what, one: told.append(f"{what} {one.endpoint}"))
    registry.register(request(*GOOD, "lt=60"), now=0.0)
    registry.register(request("lwm2m=1.1", "ep=b", "lt=0"), now=0.0)
    registry.update(request(payload=b"", path="/rd/1"), now=50.0)
    registry.expire(100.0)
    assert set(registry.by_endpoint) == {"a", "b"}
    with pytest.raises(Refusal, match="register again"):
        registry.update(request(payload=b"", path="/rd/1"), now=111.0)
    registry.expire(10.0**9)
    assert (set(registry.by_endpoint), set(registry.by_location)) == ({"b"}, {"/rd/2"})
    assert told == ["registered a", "registered b", "updated a", "expired a"]


def test_a_new_registration_replaces_the_old() -> None:
    """The old location is gone; De-register ends the new one, once."""
    registry = Registry()
    registry.register(request(*GOOD), now=0.0)
    registry.register(request(*GOOD), now=1.0)
    assert set(registry.by_location) == {"/rd/2"}
    assert registry.deregister(request(path="/rd/2"), now=2.0).code == Code.DELETED
    assert registry.by_endpoint == {}
    with pytest.raises(Refusal, match="no such registration"):
        registry.deregister(request(path="/rd/2"), now=2.0)


def test_room_ends() -> None:
    """A further endpoint is answered 5.03, one that is there may come again; an end makes room."""
    registry = Registry(limits=Limits(registrations=2))
    for name in ("a", "b", "a"):
        registry.register(request("lwm2m=1.1", f"ep={name}", "lt=60"), now=0.0)
    assert refusal(registry, "lwm2m=1.1", "ep=c") == "5.03 no room for a further registration"
    registry.register(request("lwm2m=1.1", "ep=c"), now=100.0)
    assert set(registry.by_endpoint) == {"c"}


def test_a_version_that_is_not_declared_belongs_to_the_lwm2m_version() -> None:
    """1.2 has Object 5 version 1.1 where nothing else is said."""
    assert Registration("a", "/rd/1", None, (), lwm2m="1.2").version_of(5) == "1.1"


def test_a_name_stays_with_its_identity_until_the_lifetime_is_over() -> None:
    """A name that came without DTLS is nobody's; one that an identity registered is taken as long as it is there."""
    registry = Registry()
    short = (*GOOD, "lt=60")
    registry.register(request(*short), now=0.0)
    registry.register(request(*short), now=1.0, identity="id-a")
    registry.register(request(*short, remote="there"), now=2.0, identity="id-a")
    for other in ("id-b", None):
        with pytest.raises(Refusal, match="registered by another identity") as refused:
            registry.register(request(*short), now=62.0, identity=other)
        assert refused.value.code == Code.FORBIDDEN
    assert registry.by_endpoint["a"].remote == "there"
    registry.register(request(*short), now=62.1, identity="id-b")
    assert registry.by_endpoint["a"].identity == "id-b"
