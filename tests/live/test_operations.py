"""What a server can ask of a device: every operation answered by the book, in each version of LwM2M."""

from __future__ import annotations

import pathlib
import subprocess

import aiocoap
import cbor2
import pytest
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption

from lwm2m_lab.live.network import Sighting
from lwm2m_lab.wire import values
from lwm2m_lab.wire.encoding import encode_senml_cbor, encode_senml_json, encode_tlv
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse
from tests.live.probes import ATTRIBUTES, Probe, probes

TEXT, LINKS, OPAQUE, SENML_JSON, SENML_CBOR, TLV, LWM2M_CBOR = 0, 40, 42, 110, 112, 11542, 11544


@pytest.mark.parametrize(
    ("lwm2m", "accepts"),
    [
        ("1.0", {None: TLV, TLV: TLV}),
        ("1.1", {None: SENML_JSON, TLV: TLV, SENML_JSON: SENML_JSON, SENML_CBOR: SENML_CBOR}),
        ("1.2", {None: SENML_JSON, SENML_JSON: SENML_JSON, SENML_CBOR: SENML_CBOR, LWM2M_CBOR: LWM2M_CBOR, TLV: TLV}),
    ],
)
def test_read_at_every_level_and_in_every_format(lwm2m: str, accepts: dict[int | None, int]) -> None:
    """Object, instance, resource and resource instance say the same in each format; another format is 4.06."""

    async def script(bench: Bench) -> None:
        for path in ("/3", "/3/0", "/5", "/5/0", "/1", "/5/0/8"):
            for accept, expected in accepts.items():
                response = await bench.ask("GET", path, accept=accept)
                assert (str(response.code), response.opt.content_format) == ("2.05 Content", expected)
                read = values.decode(response.payload, content_format=expected, path=path)
                shown = {one.path: values.as_integer(one.value) for one in read}
                assert shown.get("/5/0/8/0", 0) == 0
                if path == "/5/0":
                    assert (shown["/5/0/3"], shown["/5/0/5"], shown["/5/0/9"]) == (0, 0, 2)
            for accept in {TEXT, OPAQUE, LWM2M_CBOR, SENML_JSON, 11543, 60} - set(accepts):
                assert await bench.code("GET", path, accept=accept) == "4.06"
        assert (await bench.ask("GET", "/3/0/3", accept=TEXT)).payload == b"1.0.0"
        assert await bench.code("GET", "/3/0/3", accept=OPAQUE) == "4.06"
        assert await bench.code("GET", "/5/0/8/0") == ("4.04" if lwm2m == "1.0" else "2.05")

    converse(script, lwm2m=lwm2m)


async def asked(bench: Bench, probe: Probe) -> aiocoap.Message:
    """A probe's request, and its answer."""
    codes = {str(code.name): code for code in Code}
    options = {"content_format": probe.content_format, "accept": probe.accept, "uri_query": probe.queries or None}
    message = bench.requester.message(
        codes[probe.method], to=bench.remote, path=probe.path, payload=probe.payload, **options
    )
    if probe.option is not None:
        message.opt.add_option(OpaqueOption(OptionNumber(probe.option[0]), probe.option[1]))
    return await bench.requester.send(message)


@pytest.mark.parametrize("lwm2m", ["1.0", "1.1", "1.2"])
def test_every_request_is_answered_by_the_book(lwm2m: str) -> None:
    """Some 150 requests of each version; nothing but what succeeded has changed anything, and that wrote the same."""

    async def script(bench: Bench) -> list[str]:
        before, wrong = bench.device.operations.readable(), []
        for probe in probes(lwm2m):
            answer = await asked(bench, probe)
            came = answer.code.dotted, answer.opt.content_format
            if came[0] != probe.code or probe.answer_format not in (None, came[1]):
                wrong.append(f"{probe}: {came}")
            if bench.device.operations.readable() != before:
                wrong.append(f"{probe} has changed something")
        assert [one.what for one in bench.device.truth] == ["boot", "registered"]
        return wrong

    assert converse(script, lwm2m=lwm2m) == []
    assert len(list(probes(lwm2m))) >= 150


def test_write_one_resource_in_every_format() -> None:
    """A lifetime in text, TLV, SenML and LwM2M CBOR; the registration is updated with what changed."""

    async def script(bench: Bench) -> None:
        entries = {
            "text": (TEXT, b"301"),
            "TLV": (TLV, encode_tlv([Entry("/1/0/1", 302)], base="/1/0/1")),
            "SenML JSON": (SENML_JSON, encode_senml_json([Entry("/1/0/1", 303)], base="/1/0/1")),
            "SenML CBOR": (SENML_CBOR, encode_senml_cbor([Entry("/1/0/1", 304)], base="/1/0/1")),
            "LwM2M CBOR": (LWM2M_CBOR, cbor2.dumps({1: {0: {1: 305}}})),
        }
        for expected, (content_format, payload) in enumerate(entries.values(), start=301):
            for method in ("PUT", "POST") if content_format else ("PUT",):
                assert await bench.code(method, "/1/0/1", payload, content_format=content_format) == "2.04"
            assert await bench.read("/1/0/1") == str(expected)
            await bench.sleep(1)
            assert bench.server.received[-1].opt.uri_query == (f"lt={expected}",)

    converse(script, lwm2m="1.2")


def test_write_replaces_or_adds() -> None:
    """POST to an instance leaves the rest alone; PUT forgets what is optional and asks for what is mandatory."""

    async def script(bench: Bench) -> None:
        some = encode_tlv([Entry("/1/0/2", 5), Entry("/1/0/3", 60)], base="/1/0")
        assert await bench.code("POST", "/1/0", some, content_format=TLV) == "2.04"
        assert (await bench.read("/1/0/2"), await bench.read("/1/0/1")) == ("5", "86400")
        assert await bench.code("PUT", "/1/0", some, content_format=TLV) == "4.00"
        whole = [Entry("/1/0/1", 600), Entry("/1/0/3", 90), Entry("/1/0/6", True), Entry("/1/0/7", "U")]
        assert await bench.code("PUT", "/1/0", encode_tlv(whole, base="/1/0"), content_format=TLV) == "2.04"
        assert [await bench.read(f"/1/0/{number}") for number in (1, 2, 3, 6)] == ["600", None, "90", "1"]
        bad = encode_tlv([Entry("/1/0/1", 700), Entry("/1/0/0", 2)], base="/1/0")
        assert await bench.code("POST", "/1/0", bad, content_format=TLV) == "4.05"
        assert await bench.read("/1/0/1") == "600", "all of it or nothing"

    converse(script)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_there_is_nothing_to_create_or_delete(method: str) -> None:
    """Single instances come and go with the device alone."""

    async def script(bench: Bench) -> None:
        path = "/5" if method == "POST" else "/5/0"
        options = {} if method == "DELETE" else {"content_format": SENML_JSON}
        payload = b"" if method == "DELETE" else b"[]"
        assert await bench.code(method, path, payload, **options) == ("4.00" if method == "PUT" else "4.05")

    converse(script)


def test_execute() -> None:
    """Arguments are digits with texts; what is not executable is 4.05; a trigger of Update updates."""

    async def script(bench: Bench) -> None:
        for arguments in (b"", b"0", b"0='hello'", b"0,1='x',2"):
            assert await bench.code("POST", "/1/0/8", arguments) == "2.04"
        for arguments in (b"x", b"10", b"0='", b"0,,1", b"\xff", b"0=x"):
            assert await bench.code("POST", "/1/0/8", arguments) == "4.00"
        await bench.sleep(1)
        assert bench.server.received[-1].opt.uri_path == ("rd", "1")
        for path in ("/3/0/3", "/5/0/0", "/5/0/1", "/5/0/3", "/1/0/1"):
            assert await bench.code("POST", path) == "4.05", "an Execute, for it has no Content-Format (A11)"
        assert await bench.code("POST", "/5/0/99") == "4.04"
        assert await bench.code("POST", "/5/0/2") == "4.05", "State is Idle"
        assert await bench.code("POST", "/1/0/8", b"x", content_format=SENML_JSON) == "4.05"

    converse(script)


def test_disable_leaves_and_comes_back() -> None:
    """De-register at once, register again after the Disable Timeout."""

    async def script(bench: Bench) -> None:
        await bench.write("/1/0/5", 60)
        remote = bench.remote
        assert await bench.code("POST", "/1/0/4") == "2.04"
        await bench.sleep(5)
        assert bench.server.registrations == {}
        await bench.sleep(60)
        assert bench.remote.address == remote.address
        assert [one.what for one in bench.device.truth] == ["boot", "registered", "de-registered", "registered"]

    converse(script)


@pytest.mark.parametrize("lwm2m", ["1.0", "1.1", "1.2"])
def test_discover_ends_at_the_resource(lwm2m: str) -> None:
    """An instance of a resource is no target of it: 4.05, and 4.04 in 1.0, which has no such path."""

    async def script(bench: Bench) -> None:
        assert (await bench.ask("GET", "/5/0/8", accept=LINKS)).payload == b"</5/0/8>;dim=1"
        assert await bench.code("GET", "/5/0/8/0", accept=LINKS) == ("4.04" if lwm2m == "1.0" else "4.05")
        assert await bench.code("GET", "/5/0/8/9", accept=LINKS) == "4.04"

    converse(script, lwm2m=lwm2m)


def test_discover_shows_attributes() -> None:
    """Object, instance, resources by number with their dimension, and what was written to each."""

    async def script(bench: Bench) -> str:
        assert await bench.code("PUT", "/5", uri_query=("pmin=10",)) == "2.04"
        assert await bench.code("PUT", "/5/0/5", uri_query=("gt=3", "lt=-1.5", "st=0.5")) == "2.04"
        assert (await bench.ask("GET", "/5/0/5", accept=LINKS)).payload == b"</5/0/5>;gt=3;lt=-1.5;st=0.5"
        return (await bench.ask("GET", "/5", accept=LINKS)).payload.decode()

    assert converse(script, object_version="1.0") == (
        "</5>;ver=1.0;pmin=10,</5/0>,</5/0/0>,</5/0/1>,</5/0/2>,</5/0/3>,</5/0/5>;gt=3;lt=-1.5;st=0.5,</5/0/6>,</5/0/7>,"
        "</5/0/8>;dim=1,</5/0/9>"
    )


@pytest.mark.parametrize("probe", ATTRIBUTES, ids=str)
def test_attributes_that_cannot_be(probe: Probe) -> None:
    """4.00, and those that were there stay."""

    async def script(bench: Bench) -> None:
        assert (await asked(bench, probe)).code.dotted == probe.code
        shown = (await bench.ask("GET", probe.path, accept=LINKS)).payload
        assert all(name not in shown for name in (b"pmin", b"pmax", b"gt", b"lt", b"st="))

    converse(script)


def test_composite() -> None:
    """Several paths in one answer, in the format of the question or of Accept; what is not there is left out."""

    async def script(bench: Bench) -> None:
        asked = encode_senml_cbor([Entry("/5/0/3", None), Entry("/3/0/3", None), Entry("/9/0/1", None)], base="")
        response = await bench.ask("FETCH", "", asked, content_format=SENML_CBOR)
        assert cbor2.loads(response.payload) == [{0: "/5/0/3", 2: 0}, {0: "/3/0/3", 3: "1.0.0"}]
        response = await bench.ask("FETCH", "", asked, content_format=SENML_CBOR, accept=LWM2M_CBOR)
        assert cbor2.loads(response.payload) == {5: {0: {3: 0}}, 3: {0: {3: "1.0.0"}}}
        assert await bench.code("FETCH", "", b"\x80", content_format=SENML_CBOR) == "4.00"
        assert await bench.code("FETCH", "", asked, content_format=TLV) == "4.15"
        assert await bench.code("FETCH", "", asked, content_format=SENML_CBOR, accept=TLV) == "4.06"
        hidden = encode_senml_json([Entry("/0/0/5", None)], base="")
        assert await bench.code("FETCH", "", hidden, content_format=SENML_JSON) == "4.01"
        both = encode_senml_json([Entry("/1/0/1", 900), Entry("/1/0/2", 3)], base="")
        assert await bench.code("iPATCH", "", both, content_format=SENML_JSON) == "2.04"
        assert (await bench.read("/1/0/1"), await bench.read("/1/0/2")) == ("900", "3")
        wrong = encode_senml_json([Entry("/1/0/1", 901), Entry("/3/0/3", "9")], base="")
        assert await bench.code("iPATCH", "", wrong, content_format=SENML_JSON) == "4.05"
        assert await bench.read("/1/0/1") == "900", "all of it or nothing"

    converse(script, lwm2m="1.2")


def test_there_is_no_composite_in_1_0() -> None:
    """FETCH and iPATCH came with LwM2M 1.1."""

    async def script(bench: Bench) -> None:
        asked = encode_senml_json([Entry("/5/0/3", None)], base="")
        for method in ("FETCH", "iPATCH"):
            assert await bench.code(method, "", asked, content_format=SENML_JSON) == "4.05"

    converse(script, lwm2m="1.0")


def test_bodies_and_answers_in_blocks() -> None:
    """A Write to another resource in blocks; a Discover fetched in blocks of 64; the rest of RFC 7959's refusals."""

    async def script(bench: Bench) -> None:
        for number, (text, more) in enumerate((("7" + " " * 15, True), (" ", False))):
            options = {"content_format": TEXT, "block1": (number, more, 0)}
            response = await bench.ask("PUT", "/1/0/2", text.encode(), **options)
            assert (response.code.dotted, response.opt.block1.more) == (("2.31", True) if more else ("2.04", False))
        assert await bench.read("/1/0/2") == "7"
        assert await bench.code("PUT", "/1/0/2", b"1", content_format=TEXT, block1=(3, False, 0)) == "4.08"
        assert await bench.code("PUT", "/1/0/2", b"1", content_format=TEXT, block1=(0, True, 0)) == "4.00"
        body, number, etags = b"", 0, set()
        while True:
            response = await bench.ask("GET", "/5", accept=LINKS, block2=(number, False, 2))
            body, number = body + response.payload, number + 1
            etags.add(response.opt.etag)
            if not response.opt.block2.more:
                break
        assert (body, len(etags)) == ((await bench.ask("GET", "/5", accept=LINKS)).payload, 1)
        assert await bench.code("GET", "/5", accept=LINKS, block2=(99, False, 2)) == "4.00"

    converse(script)


def test_a_body_that_never_ends_is_too_large() -> None:
    """4.13 with the limit in Size1, and the device serves on."""

    async def script(bench: Bench) -> None:
        for number in range(16):
            options = {"content_format": TEXT, "block1": (number, True, 6)}
            assert await bench.code("PUT", "/1/0/7", bytes(1024), **options) == "2.31"
        response = await bench.ask("PUT", "/1/0/7", bytes(1024), content_format=TEXT, block1=(16, True, 6))
        assert (response.code.dotted, response.opt.size1) == ("4.13", 16_384)
        assert await bench.read("/5/0/3") == "0"

    converse(script)


def test_tshark_reads_our_tlv(tmp_path: pathlib.Path, tshark: str) -> None:
    """tshark's dissector for TLV finds the resources of /5/0, the instances of /5/0/8 and the instance in /3."""

    async def script(bench: Bench) -> list[Sighting]:
        for path in ("/5/0", "/3"):
            await bench.ask("GET", path, accept=TLV)
        return bench.device.network.sightings

    seen = [one for one in converse(script) if one.side == "server"]
    packets = [Packet(one.time_ns, udp_packet(one.source, one.destination, one.payload)) for one in seen]
    path = tmp_path / "tlv.pcapng"
    path.write_bytes(pcapng_bytes(packets, interfaces=[Interface("server")]))
    command = [tshark, "-r", str(path), "-Y", "coap.opt.ctype and coap.code == 69", "-V"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for text in ("State", "Update Result", "Firmware Update Delivery Method", "Firmware Version", "1.0.0"):
        assert text in shown
    assert "Malformed" not in shown
