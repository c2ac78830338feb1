"""Every fault by name makes the rule speak that it breaks; the eleven devices read as the truth table has them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiocoap.numbers.codes import Code

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.catalogue import CATALOGUE, NamedDevice
from lwm2m_lab.live.faults import all_faults
from lwm2m_lab.live.requests import NoAnswer
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.findings import RULES
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.live.bench import Bench, converse

IMAGE = lab.image(version="2.1.0", size=4000)
URI = "coap://192.0.2.3/fw.bin"
OPAQUE = {"content_format": 42}
Script = Callable[[Bench], Awaitable[None]]


def speaking(capture: Capture) -> set[str]:
    """The rules that fail or leave something open."""
    return {one.rule for one in lab.explain(capture).findings if one.verdict in ("FAIL", "INCONCLUSIVE")}


def captured(script: Script, *, side: str = "server", **options: Any) -> Capture:
    """What a conversation looks like from one side of the link."""

    async def seen(bench: Bench) -> list[Any]:
        with contextlib.suppress(NoAnswer):
            await script(bench)
        return bench.device.network.sightings

    found = [one for one in converse(seen, **options) if one.side == side]
    packets = [Packet(one.time_ns, udp_packet(one.source, one.destination, one.payload)) for one in found]
    return Capture.from_bytes(pcapng_bytes(packets, interfaces=[Interface("server")]), name="conversation")


# ---------------------------------------------------------------- conversations that give a fault its occasion


async def update(bench: Bench) -> None:
    """A whole update, read at every step."""
    for path in ("/5/0/3", "/5/0/5", "/5/0/8", "/5/0/9", "/3/0/3"):
        await bench.read(path)
    await bench.push(IMAGE.data)
    await look(bench)
    await bench.code("POST", "/5/0/2")
    await bench.sleep(60)
    await look(bench)


async def look(bench: Bench) -> None:
    """State, result and versions."""
    for path in ("/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"):
        await bench.read(path)


async def execute_in_idle(bench: Bench) -> None:
    await look(bench)
    await bench.push(IMAGE.damaged().data)
    await look(bench)
    await bench.code("POST", "/5/0/2")
    await look(bench)


async def damaged(bench: Bench) -> None:
    await look(bench)
    await bench.push(IMAGE.damaged().data)
    await look(bench)
    await bench.sleep(30)
    await look(bench)


async def cancel_while_updating(bench: Bench) -> None:
    await look(bench)
    await bench.push(IMAGE.data)
    await bench.code("POST", "/5/0/2")
    await look(bench)
    await bench.code("POST", "/5/0/10")
    await look(bench)


async def cancel_downloaded(bench: Bench) -> None:
    await push_small_blocks(bench)
    await bench.code("POST", "/5/0/10")
    await look(bench)


async def push_small_blocks(bench: Bench) -> None:
    await look(bench)
    await bench.push(IMAGE.data, block_size=256)
    await look(bench)


async def cancel_after_success(bench: Bench) -> None:
    await update(bench)
    await bench.code("POST", "/5/0/10")
    await look(bench)


async def push_twice(bench: Bench) -> None:
    await look(bench)
    await bench.push(IMAGE.data)
    await look(bench)
    await bench.push(IMAGE.data)
    await look(bench)


async def wrong_severity(bench: Bench) -> None:
    await bench.push(IMAGE.data)
    await bench.write("/5/0/11", 7)
    await bench.read("/5/0/11")
    await look(bench)


async def deferred(bench: Bench) -> None:
    await bench.read("/5/0/13")
    await bench.push(IMAGE.data)
    await look(bench)
    await bench.code("POST", "/5/0/2")
    await look(bench)


def pulled(uri: str, *, wait: float = 30) -> Script:
    async def script(bench: Bench) -> None:
        await bench.read("/5/0/8")
        await look(bench)
        await bench.write("/5/0/1", uri)
        await look(bench)
        await bench.sleep(wait)
        await look(bench)
        await bench.read("/5/0/1")

    return script


async def empty_uri(bench: Bench) -> None:
    await damaged(bench)
    await bench.write("/5/0/1", "")
    await look(bench)


async def gap(bench: Bench) -> None:
    await look(bench)
    for number in (0, 2, 3):
        block = IMAGE.data[number * 1024 : number * 1024 + 1024]
        await bench.code("PUT", "/5/0/0", block, block1=(number, number < 3, 6), **OPAQUE)
    await look(bench)


async def changed_file(bench: Bench) -> None:
    await look(bench)
    await bench.write("/5/0/1", URI)
    await bench.sleep(0.25)
    bench.repository.files, bench.repository._etags = {"/fw.bin": lab.image(size=4000).data}, {"/fw.bin": b"other"}
    await bench.sleep(20)
    await look(bench)


async def impatient(bench: Bench) -> None:
    """A block whose answer the server may never match."""
    await look(bench)
    for number in range(2):
        block = IMAGE.data[number * 1024 : number * 1024 + 1024]
        asking = bench.code("PUT", "/5/0/0", block, block1=(number, True, 6), **OPAQUE)
        try:
            await asyncio.wait_for(asking, 20)
        except TimeoutError:
            break


async def lapsed(bench: Bench) -> None:
    await bench.push(IMAGE.data)
    await bench.sleep(400)
    await look(bench)


async def not_registered(bench: Bench) -> None:
    await update(bench) if bench.device.registers() else None


async def no_news(bench: Bench) -> None:
    for path in ("/5/0/3", "/5/0/5"):
        await bench.observe(path)
    await bench.push(IMAGE.damaged().data)
    await bench.sleep(200)


def raw(*messages: Message) -> Script:
    """A push, and datagrams that no CoAP library sends."""

    async def script(bench: Bench) -> None:
        await look(bench)
        await bench.push(IMAGE.data)
        for message in messages:
            bench.server_port.sendto(encode(message), bench.remote.address)
            await bench.sleep(1)
        await look(bench)

    return script


async def software(bench: Bench) -> None:
    await bench.read("/3/0/19")
    await update(bench)
    await bench.read("/3/0/19")


async def too_large(bench: Bench) -> None:
    await look(bench)
    await bench.push(lab.image(size=20_000).data)
    await look(bench)


async def long_push(bench: Bench) -> None:
    """A push that does not say how long it is."""
    await look(bench)
    body = lab.image(size=20_000).data
    for number in range(20):
        block = body[number * 1024 : number * 1024 + 1024]
        code = await bench.code("PUT", "/5/0/0", block, block1=(number, number < 19, 6), **OPAQUE)
        if code != "2.31":
            break
    await look(bench)


async def new_block_0(bench: Bench) -> None:
    """A push that is begun anew after three blocks."""
    await look(bench)
    for number in range(3):
        block = IMAGE.data[number * 1024 : number * 1024 + 1024]
        await bench.code("PUT", "/5/0/0", block, block1=(number, True, 6), **OPAQUE)
    await bench.push(IMAGE.data)
    await look(bench)


async def repeated_block(bench: Bench) -> None:
    """A block that is sent a second time under a new message id and the same token."""
    await look(bench)
    path = ((11, b"5"), (11, b"0"), (11, b"0"), (12, b"*"))
    for mid, number in enumerate((0, 1, 1, 2, 3), start=500):
        block = IMAGE.data[number * 1024 : number * 1024 + 1024]
        value = (number << 4 | (number < 3) << 3 | 6).to_bytes(2, "big").lstrip(b"\0")
        message = Message("CON", "0.03", mid, b"same", (*path, (27, value)), block)
        bench.server_port.sendto(encode(message), bench.remote.address)
        await bench.sleep(150 if mid == 502 else 1)
    await look(bench)


async def slow_repository(bench: Bench) -> None:
    """A repository that acknowledges empty and answers later."""
    serve = bench.repository.render_to_pipe

    async def late(pipe: Any) -> None:
        await asyncio.sleep(1)
        await serve(pipe)

    bench.repository.render_to_pipe = late  # type: ignore[method-assign]
    await pulled(URI, wait=200)(bench)


async def observed(bench: Bench) -> None:
    await look(bench)
    for path in ("/5/0/3", "/5/0/5"):
        with contextlib.suppress(Exception):
            await bench.observe(path)
    await push_twice(bench)
    await bench.code("PUT", "/5/0/0", b"\0", **OPAQUE)
    await bench.sleep(10)


async def lost_interest(bench: Bench) -> None:
    """A server that resets notifications of what it no longer observes."""
    message = bench.requester.message(Code.GET, to=bench.remote, path="/5/0/3", observe=0)
    request = bench.requester.context.request(message, handle_blockwise=False)
    await request.response
    request.observation.cancel()
    await look(bench)
    await bench.push(IMAGE.data)
    await bench.sleep(5)
    await bench.code("POST", "/5/0/2")
    await look(bench)


PING = Message("CON", "0.00", 9999)
NON = Message("NON", "0.01", 9998, b"non", ((11, b"5"), (11, b"0"), (11, b"3")))
#: A round trip longer than the first time-out: most requests are sent twice.
SLOW = {"link": lab.Link(delay=1.4), "side": "device"}

#: For each fault the conversation that shows it, and what the device or the link is like besides.
OCCASIONS: dict[str, tuple[Script, dict[str, Any]]] = {
    "keeps-firmware-version": (update, {}),
    "copies-version-at-download": (update, {}),
    "forgets-result": (update, {}),
    "success-before-execute": (update, {}),
    "overwrites-result": (damaged, {}),
    "borrows-results": (update, {"install_fails": True}),
    "old-state-numbers": (update, {}),
    "installs-without-execute": (push_twice, {}),
    "ignores-execute": (update, {}),
    "executes-anywhere": (execute_in_idle, {}),
    "cancels-too-late": (cancel_while_updating, {}),
    "cancels-success": (cancel_after_success, {}),
    "takes-package-over-package": (push_twice, {}),
    "takes-any-severity": (wrong_severity, {}),
    "defers-without-leave": (deferred, {}),
    "invents-delivery-method": (update, {}),
    "claims-coaps": (pulled("coaps://192.0.2.3/fw.bin"), {}),
    "downloads-empty-uri": (empty_uri, {}),
    "cuts-uri": (pulled("coap://192.0.2.3/" + "x" * 238), {}),
    "changes-version-on-failure": (update, {"install_fails": True}),
    "updates-software-version": (software, {"software_version": "0.9.0"}),
    "invents-state": (cancel_while_updating, {}),
    "caps-bodies": (long_push, {}),
    "gives-no-limit": (too_large, {"storage": 4000}),
    "answers-as-block-0": (push_small_blocks, {}),
    "clears-m-too-early": (push_small_blocks, {}),
    "ignores-new-block-0": (new_block_0, {}),
    "writes-duplicates": (push_small_blocks, {"link": lab.Link(delay=1.4)}),
    "swallows-repeated-blocks": (repeated_block, {}),
    "never-acknowledges": (slow_repository, {"files": {"/fw.bin": IMAGE.data}}),
    "asks-with-m": (pulled(URI), {"files": {"/fw.bin": IMAGE.data}, "block_size": 512}),
    "repeats-observe-numbers": (observed, {}),
    "notifies-with-wrong-token": (observed, {}),
    "observes-silently": (observed, {}),
    "ignores-resets": (lost_interest, {}),
    "gives-up-silently": (pulled("coap://192.0.2.9/fw.bin", wait=200), {}),
    "erases-uri": (pulled(URI), {"files": {"/fw.bin": IMAGE.data}}),
    "accepts-gaps": (gap, {}),
    "keys-blocks-on-token": (push_twice, {}),
    "answers-blocks-2.04": (push_twice, {}),
    "never-clears-m": (push_twice, {}),
    "asks-for-larger-blocks": (push_small_blocks, {}),
    "resumes-by-number": (changed_file, {"files": {"/fw.bin": IMAGE.data}, "block_size": 512}),
    "ignores-etag": (changed_file, {"files": {"/fw.bin": IMAGE.data}, "block_size": 512}),
    "does-not-register-again": (update, {}),
    "never-tells-result": (no_news, {}),
    "lets-registration-lapse": (lapsed, {"lifetime": 60}),
    "offers-more-than-declared": (cancel_downloaded, {}),
    "declares-unknown-version": (update, {}),
    "resets-before-answering": (update, {}),
    "erases-flash-before-answering": (push_twice, {}),
    "erases-and-writes-twice": (push_small_blocks, {"link": lab.Link(delay=0.5)}),
    "refuses-block1": (push_twice, {}),
    "ignores-duplicates": (push_small_blocks, SLOW),
    "answers-non-twice": (raw(NON, NON), {}),
    "acknowledges-pings": (raw(PING), {}),
    "answers-with-wrong-token": (impatient, {}),
    "reuses-message-ids": (pulled(URI), {"files": {"/fw.bin": IMAGE.data}, "block_size": 512}),
    "does-not-back-off": (pulled("coap://192.0.2.9/fw.bin", wait=100), {}),
    "retransmits-for-ever": (pulled("coap://192.0.2.9/fw.bin", wait=100), {}),
    "asks-twice-after-duplicates": (
        pulled(URI),
        {"files": {"/fw.bin": IMAGE.data}, "block_size": 512, "link": lab.Link(duplication=1.0), "side": "device"},
    ),
    "asks-in-acknowledgements": (pulled(URI), {"files": {"/fw.bin": IMAGE.data}}),
}


@pytest.mark.parametrize("name", OCCASIONS)
def test_a_fault_makes_its_rule_speak(name: str) -> None:
    """With the fault one of its rules speaks, which is silent of the same conversation with a device by the book."""
    script, options = OCCASIONS[name]
    expected = set(all_faults()[name].rules) & set(RULES)
    assert expected, f"no rule speaks of {name}"
    spoken = speaking(captured(script, **options, faults=(name,)))
    assert spoken & expected, f"{spoken} where one of {expected} is expected"


@pytest.mark.parametrize("name", [name for name in OCCASIONS if name != "borrows-results"])
def test_the_same_conversation_with_a_device_by_the_book(name: str) -> None:
    """No rule speaks against a device that keeps them all; what the other side does wrong stays."""
    script, options = OCCASIONS[name]
    explained = lab.explain(captured(script, **options))
    against = [str(one) for one in explained.findings if one.verdict == "FAIL" and one.party == "device"]
    assert against == []


def test_faults_say_what_they_are() -> None:
    """Each has a sentence, and the rules it names have the form of a rule's id."""
    for one in all_faults().values():
        assert one.about.endswith("."), one.name
        assert all(rule[0] in "ABCDFGMNORTVW" and rule[1:].isdigit() for rule in one.rules), one.name
    with pytest.raises(BadInput, match="no fault is named 'is-late'; one of accepts-gaps, "):
        lab.DeviceOptions(faults=("is-late",))
    with pytest.raises(BadInput, match="no device is named 'D12'; one of D1, "):
        lab.DeviceOptions.named("D12")


#: State/Result, /5/0/7 and /3/0/3: once downloaded, at the first reading after the Execute's reboot, and settled.
TRUTH = {
    "D1": ("2/0 2.0.0 1.0.0", "0/1 - 2.0.0", "0/1 - 2.0.0"),
    "D2": ("2/0 2.0.0 1.0.0", "0/1 - 1.0.0", "0/1 - 1.0.0"),
    "D3": ("2/0 2.0.0 2.0.0", "2/8 2.0.0 2.0.0", "2/8 2.0.0 2.0.0"),
    "D4": ("2/0 2.0.0 1.0.0", "0/0 - 2.0.0", "0/0 - 2.0.0"),
    "D5": ("2/0 2.0.0 1.0.0", "3/0 - 2.0.0", "0/8 - 1.0.0"),
    "D6": ("2/0 2.0.0 1.0.0", "2/8 2.0.0 1.0.0", "2/8 2.0.0 1.0.0"),
    "D7": ("2/0 2.0.0 -", "0/1 - -", "0/1 - -"),
    "D8": ("2/0 b77 1.0.0", "0/1 b77 2.0.0", "0/1 b77 2.0.0"),
    "D9": ("2/1 2.0.0 1.0.0", "0/1 - 1.0.0", "0/1 - 1.0.0"),
    "D10": ("2/0 1.0.0 1.0.0", "0/1 - 1.0.0", "0/1 - 1.0.0"),
    "D11": ("2/0 2.0.0 1.0.0", "0/1 - 2.0.0", "0/1 - 2.0.0"),
}


@pytest.mark.parametrize("named", CATALOGUE.values(), ids=lambda named: named.name)
def test_the_eleven_devices(named: NamedDevice) -> None:
    """What a server reads of each, and what runs in truth."""

    async def shown(bench: Bench) -> str:
        return f"{await bench.status()} {await bench.read('/5/0/7') or '-'} {await bench.read('/3/0/3') or '-'}"

    async def script(bench: Bench) -> tuple[str, str, str]:
        await bench.push(lab.image(version=named.target, size=2000).data)
        downloaded = await shown(bench)
        await bench.code("POST", "/5/0/2")
        await bench.sleep(20)
        first = await shown(bench)
        await bench.sleep(60)
        settled = await shown(bench)
        assert (bench.device.flash.running == named.target) == (named.runs_target)
        return downloaded, first, settled

    assert converse(script, options=named.options) == TRUTH[named.name]
