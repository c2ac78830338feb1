"""One device stays one endpoint, wherever it speaks from; two stay two, however close they are."""

from __future__ import annotations

from typing import Any

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Message
from tests.peers import SERVER, Session

OTHER = ("198.51.100.1", 5683)


class Devices(Session):
    """Several devices, each at an address of its own, and what a server reads of them."""

    def asks(
        self, source: Any, code: str, path: str, *, answer: str | None, ep: str = "", location: str = "",
        payload: bytes = b"", server: Any = SERVER,
    ) -> None:  # fmt: skip
        """A request of a device: Register, Update or De-register."""
        self.mid += 1
        token = self.mid.to_bytes(2, "big")
        options = [(11, part.encode()) for part in path.strip("/").split("/")]
        options += [(15, b"ep=" + ep.encode())] if ep else []
        self.say(source, server, Message("CON", code, self.mid, token, tuple(options), payload))
        if answer is not None:
            back = tuple((8, part.encode()) for part in location.strip("/").split("/") if part)
            self.say(server, source, Message("ACK", answer, self.mid, token, back))

    def registers(self, source: Any, ep: str, location: str, **how: Any) -> None:
        """A Register, answered with a location."""
        self.asks(source, "0.02", "/rd", answer="2.01", ep=ep, location=location, **how)

    def updates(self, source: Any, location: str, **how: Any) -> None:
        """A Register Update."""
        self.asks(source, "0.02", location, answer="2.04", **how)

    def reads(self, target: Any, server: Any = SERVER) -> None:
        """The server reads State of what is at that address."""
        self.mid += 1
        token = self.mid.to_bytes(2, "big")
        options = tuple((11, part) for part in (b"5", b"0", b"3"))
        self.say(server, target, Message("CON", "0.01", self.mid, token, options))
        self.say(target, server, Message("ACK", "2.05", self.mid, token, ((12, b""),), b"0"))

    def readings(self) -> list[str]:
        """Whose values were read, in order."""
        return [str(name) for name in self.capture().timeline["endpoint"]]


A, B, C = ("192.0.2.2", 40001), ("192.0.2.2", 40002), ("203.0.113.9", 50000)


def test_an_update_moves_the_endpoint() -> None:
    """The location is the device, at whatever address it is used."""
    session = Devices()
    session.registers(A, "one", "/rd/7")
    session.reads(A)
    session.updates(C, "/rd/7")
    session.reads(C)
    assert session.readings() == ["one", "one"]


def test_two_devices_behind_one_address() -> None:
    """The port tells them apart; each keeps its own moves."""
    session = Devices()
    session.registers(A, "one", "/rd/1")
    session.registers(B, "two", "/rd/2")
    session.updates(C, "/rd/2")
    for address in (A, B, C):
        session.reads(address)
    assert session.readings() == ["one", "two", "two"]


def test_a_port_that_is_given_to_another_device() -> None:
    """After a de-registration the same address may be somebody else's."""
    session = Devices()
    session.registers(A, "one", "/rd/1")
    session.reads(A)
    session.asks(A, "0.04", "/rd/1", answer="2.02")
    session.registers(A, "two", "/rd/1")
    session.reads(A)
    assert session.readings() == ["one", "two"]
    assert session.capture().registrations["operation"].tolist() == ["register", "deregister", "register"]


def test_a_register_before_the_capture() -> None:
    """An Update on a location that a later Register names; without any, the first address stands for the device."""
    session = Devices()
    session.updates(A, "/rd/x")
    session.reads(A)
    session.updates(B, "/rd/x")
    session.reads(B)
    assert session.readings() == ["192.0.2.2:40001"] * 2
    session.registers(C, "one", "/rd/x")
    session.reads(C)
    assert session.readings() == ["one"] * 3


def test_a_register_without_a_name() -> None:
    """ep= may be missing; the address stands for it, and the location joins what follows elsewhere."""
    session = Devices()
    session.registers(A, "", "/rd/5")
    session.reads(A)
    session.updates(C, "/rd/5")
    session.reads(C)
    assert session.readings() == ["192.0.2.2:40001"] * 2


def test_servers_have_locations_of_their_own() -> None:
    """The same location at two servers is two devices; one device at two servers is one."""
    session = Devices()
    session.registers(A, "one", "/rd/1")
    session.registers(B, "two", "/rd/1", server=OTHER)
    session.registers(A, "one", "/rd/2", server=OTHER)
    session.updates(C, "/rd/1", server=OTHER)
    session.reads(C, OTHER)
    session.reads(A, OTHER)
    assert session.readings() == ["two", "one"]


def test_a_location_elsewhere_than_under_rd() -> None:
    """A server may name any path."""
    session = Devices()
    session.registers(A, "one", "/clients/9")
    session.updates(C, "/clients/9")
    session.reads(C)
    assert session.readings() == ["one"]


def test_a_register_in_blocks_is_one() -> None:
    """Links of several blocks declare what they declare together."""
    links = b"</1/0>,</3/0>,</5>;ver=1.1,</5/0>"
    session = Session()
    for num, more in ((0, 1), (1, 1), (2, 0)):
        part = links[num * 16 : num * 16 + 16].hex()
        code = "2.31" if more else "2.01 opt8=7264 opt8=31"
        session.script(
            f"device > server CON POST /rd ?ep=one&lwm2m=1.0 cf=40 1:{num}/{more}/16 hex={part}\n"
            f"server > device ACK {code} 1:{num}/{more}/16"
        )
    (row,) = session.capture().registrations.to_dict("records")
    assert (row["endpoint"], row["accepted"], row["object5_version"], row["declared"]) == ("one", True, "1.1", True)


def test_a_move_in_the_middle_of_an_update(image: bytes) -> None:
    """Blocks and readings before and after belong to one update of one device."""
    session = Devices("ready")
    session.registers(session.device, "dev-1", "/rd/3")
    session.push(image, which=[0, 1])
    session.device = C
    session.updates(C, "/rd/3")
    session.push(image, which=range(2, 99))
    session.reads(C)
    capture: lab.Capture = session.capture()
    assert capture.updates[["endpoint", "image_size"]].to_numpy().tolist() == [["dev-1", len(image)]]


def test_a_lifetime_of_thousands_of_digits_is_none() -> None:
    """Python would not even make a number of it."""
    fleet = Devices()
    fleet.asks(("192.0.2.2", 50001), "0.02", "/rd", answer="2.01", ep="dev-1&lt=" + 5000 * "9", location="rd/1")
    assert fleet.capture().registrations[["endpoint", "lifetime"]].values.tolist() == [["dev-1", None]]
