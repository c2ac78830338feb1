"""What an update is, how it went, and what is missing to say so."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Block
from lwm2m_lab.wire.encoding import encode_tlv
from lwm2m_lab.wire.values import Entry
from tests.peers import Session


def only(session: Any) -> lab.Update:
    """The one update of a session."""
    capture = session.capture()
    assert len(capture.updates) == 1
    return capture.update(0)


def finish(session: Any, result: int = 1, version: str | None = "2.1.0") -> Any:
    """From a delivered package to the end: Execute, reboot, registration, and what is read then."""
    session.notify("/5/0/3", 2)
    session.execute()
    session.notify("/5/0/3", 3)
    session.wait(10).register()
    session.read("/5/0/3", 0)
    session.read("/5/0/5", result)
    if version is not None:
        session.read("/3/0/3", version)
    return session


def test_a_push_from_beginning_to_end(ready: Any, image: bytes) -> None:
    """Every field of the update."""
    first = ready.push(image, szx=5)
    update = only(finish(ready))
    assert (update.endpoint, update.delivery) == ("dev-1", "push")
    assert (update.image_size, update.image_sha256) == (3000, hashlib.sha256(image).hexdigest())
    assert update.image_accepted is True
    assert (update.states, update.results) == ((0, 2, 3, 0), (0, 1))
    assert (update.firmware_versions, update.firmware_version_before) == (("1.0.0", "2.1.0"), "1.0.0")
    assert (update.block_sizes, update.retransmissions) == ((512,), 0)
    assert update.frames == (first, len(ready.packets))
    assert (update.outcome, update.verdict, update.cause) == ("succeeded", "PASS", None)
    assert update.duration_s == pytest.approx(11.3, abs=0.5)


def test_a_retry_and_a_restart_are_no_new_update(ready: Any, image: bytes) -> None:
    """Blocks sent again, and a delivery begun anew while the old one is open, belong to the same update."""
    ready.push(image, upto=1)
    ready.push(image)
    assert only(finish(ready)).image_size == 3000


def test_two_updates_one_after_the_other(ready: Any, image: bytes) -> None:
    """The next Write after the end begins another; it carries the last values over."""
    ready.push(image)
    finish(ready)
    ready.observe("/5/0/3", 0)
    ready.observe("/5/0/5", 1)
    later = lab.image(version="2.2.0", size=2000).data
    ready.push(later)
    capture = finish(ready, version="2.2.0").capture()
    assert list(capture.updates["image_size"]) == [3000, 2000]
    assert list(capture.updates["firmware_version_before"]) == ["1.0.0", "2.1.0"]
    assert capture.update(1).firmware_versions == ("2.1.0", "2.2.0")


def test_a_reset_that_was_answered_cancels(ready: Any, image: bytes) -> None:
    """An empty Write to /5/0/0 is the reset value, no update of its own."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    frame = ready.exchange("0.03", "/5/0/0", "2.04", content_format=42)
    ready.notify("/5/0/3", 0)
    update = only(ready)
    assert (update.outcome, update.cause) == (
        "cancelled", f"the server wrote the reset value in frame {frame} and it was answered 2.04",
    )  # fmt: skip


def test_a_reset_alone_is_no_update(ready: Any) -> None:
    """Nothing was delivered."""
    ready.exchange("0.03", "/5/0/1", "2.04", content_format=0)
    assert len(ready.capture().updates) == 0


def test_a_device_that_forgot_its_result(ready: Any, image: bytes) -> None:
    """Execute, State 0 with Result 0, and a new /3/0/3: it succeeded."""
    ready.push(image)
    assert only(finish(ready, result=0)).outcome == "succeeded"


@pytest.mark.parametrize(("code", "said"), [("4.13", "4.13"), ("5.00", "5.00"), ("4.05", "4.05")])
def test_a_refused_delivery_failed(ready: Any, image: bytes, code: str, said: str) -> None:
    """The delivery's final answer is an error, and no result contradicts."""
    ready.push(image, final=code)
    ready.read("/5/0/3", 0)
    update = only(ready)
    assert (update.outcome, update.image_accepted) == ("failed", False)
    assert said in str(update.cause)


@pytest.mark.parametrize("result", range(2, 10))
def test_a_result_that_says_failed(ready: Any, image: bytes, result: int) -> None:
    """Results 2 to 9 fail the update."""
    ready.push(image)
    ready.notify("/5/0/5", result)
    ready.notify("/5/0/3", 0)
    update = only(ready)
    assert (update.outcome, update.results[-1]) == ("failed", result)
    assert f"Update Result {result}" in str(update.cause)


@pytest.mark.parametrize(("result", "outcome"), [(10, "cancelled"), (11, "deferred")])
def test_results_of_1_1(ready: Any, image: bytes, result: int, outcome: str) -> None:
    """Cancelled and deferred are outcomes of their own."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute("/5/0/10" if result == 10 else "/5/0/2")
    ready.notify("/5/0/5", result)
    assert only(ready).outcome == outcome


def test_an_old_result_is_not_this_updates(session: Any, image: bytes) -> None:
    """Result 1 of the last update is still there while the next is delivered."""
    session.register()
    session.read("/5/0/5", 1)
    session.read("/3/0/3", "1.0.0")
    session.push(image)
    session.read("/5/0/5", 1)
    assert only(session).outcome == "unfinished"


def test_what_is_missing_is_said(ready: Any, image: bytes) -> None:
    """Unfinished updates name the first thing that did not come."""
    ready.push(image, upto=2)
    assert "does not end in the capture" in str(only(ready).cause)


def test_without_execute(ready: Any, image: bytes) -> None:
    """Delivered, and nobody asked for the installation."""
    ready.push(image)
    assert "no accepted Execute of Update was seen" in str(only(ready).cause)


def test_a_block_that_nobody_answered(ready: Any, image: bytes) -> None:
    """Five copies and silence."""
    from lwm2m_lab.wire.coap import Block

    ready.push(image, upto=1)
    frame = ready.exchange(
        "0.03", "/5/0/0", None, payload=image[1024:2048], content_format=42, block1=Block(1, True, 6), copies=5
    )
    update = only(ready)
    assert (update.outcome, update.retransmissions) == ("unfinished", 4)
    assert f"frame {frame} (" in str(update.cause)
    assert "sent 5 times and never answered" in str(update.cause)


def test_after_the_execute_silence(ready: Any, image: bytes) -> None:
    """Neither result nor registration; and, registered again, no result."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute()
    assert "no Update Result and no new registration was seen" in str(only(ready).cause)
    ready.wait(5).register()
    assert "registered again, but no Update Result was seen" in str(only(ready).cause)


def test_an_update_of_the_registration_is_no_new_one() -> None:
    """A device that only says that it is still there did not come back; one whose Register nobody took asked to."""
    executed = "ready\npush\nnotify /5/0/3 2\nexecute\n"
    still = Session(executed + "device > server CON POST /rd/1\nserver > device ACK 2.04\nwait 60")
    assert "no Update Result and no new registration was seen" in str(only(still).cause)
    asked = Session(executed + "wait 10\ndevice > server CON POST /rd ?ep=dev-1&lt=300&lwm2m=1.1 cf=40 text='</5/0>'")
    said = f"asked to register again in frame {len(asked.packets)}, and neither a 2.01 to it nor an Update Result"
    assert said in str(only(asked).cause)


def test_a_missing_block_leaves_no_image(ready: Any, image: bytes) -> None:
    """Size and hash are null where a byte was not captured."""
    ready.push(image)
    packet = next(at for at, one in enumerate(ready.packets) if image[1100:1150] in one.data)
    del ready.packets[packet]
    update = only(ready)
    assert (update.image_size, update.image_sha256) == (None, None)


def test_values_by_send(ready: Any, image: bytes) -> None:
    """A device may tell its new values by a Send to /dp (LwM2M 1.1, 6.4.7)."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute()
    ready.wait(9).register()
    pack = b'[{"bn":"/5/0/","n":"3","v":0},{"n":"5","v":1},{"bn":"/3/0/","n":"3","vs":"2.1.0"}]'
    ready.exchange("0.02", "/dp", "2.04", payload=pack, content_format=110, from_device=True)
    update = only(ready)
    assert (update.outcome, update.firmware_version_after, update.verdict) == ("succeeded", "2.1.0", "PASS")
    assert set(update.capture.timeline["how"]) >= {"send", "observe", "notify", "read"}


def test_without_a_registration_the_address_names_the_endpoint(session: Any, image: bytes) -> None:
    """A capture that begins in the middle."""
    session.read("/3/0/3", "1.0.0")
    session.push(image)
    update = only(session)
    assert (update.endpoint, update.delivery) == ("192.0.2.2:50000", "push")


def test_the_table_prints_and_the_row_too(ready: Any, image: bytes) -> None:
    """An update shows its fields as text and as HTML, escaped."""
    ready.push(image)
    update = only(finish(ready, version="<b>2</b>"))
    assert update.headline().startswith("dev-1: push, 3000 bytes, /3/0/3 1.0.0 -> <b>2</b>: succeeded")
    assert "<b>2</b>" not in update._repr_html_()


def in_blocks(session: Any, path: str, body: bytes, *, size: int = 32, final: str = "2.04", **options: int) -> None:
    """A Write in blocks, each answered; the last one by `final`."""
    count = -(-len(body) // size)
    for num in range(count):
        more = int(num + 1 < count)
        block, part = Block(num, bool(more), size.bit_length() - 5), body[num * size : (num + 1) * size]
        session.exchange("0.03", path, "2.31" if more else final, payload=part, block1=block, **options)


LONG_URI = f"coap://192.0.2.3/fw.bin?device={'x' * 40}"


def test_a_package_uri_in_blocks_begins_a_pull(ready: Any, image: bytes) -> None:
    """A Write of a long URI over a small link is a Write like any other."""
    first = len(ready.packets) + 1
    in_blocks(ready, "/5/0/1", LONG_URI.encode(), content_format=0)
    written = len(ready.packets)
    ready.script(f"image {len(image)} 2.1.0\npull /fw.bin")
    update = only(finish(ready))
    assert (update.delivery, update.evidence.uri, update.image_size) == ("pull", LONG_URI, 3000)
    assert (update.frames[0], update.outcome) == (first, "succeeded")
    assert written - first + 1 == 6, "three blocks and their answers"


def test_a_package_uri_within_the_instance_in_blocks(ready: Any) -> None:
    """TLV of /5/0 that does not fit one block; its values are known once it is whole."""
    body = encode_tlv([Entry("/5/0/1", LONG_URI)], base="/5/0")
    in_blocks(ready, "/5/0", body, content_format=11542)
    assert only(ready).evidence.uri == LONG_URI


def test_one_block_that_is_the_whole_uri(ready: Any) -> None:
    """Block1 0/0/1024: some senders number even a body of one block."""
    in_blocks(ready, "/5/0/1", LONG_URI.encode(), size=1024, content_format=0)
    assert only(ready).evidence.uri == LONG_URI


def test_a_package_uri_in_blocks_that_is_refused(ready: Any) -> None:
    """An error in the middle ends the Write, and with it the update; the URI is not known."""
    uri = LONG_URI.encode()
    ready.exchange("0.03", "/5/0/1", "4.13", payload=uri[:32], block1=Block(0, True, 1), content_format=0)
    update = only(ready)
    assert (update.delivery, update.evidence.uri, update.outcome) == ("pull", "?", "failed")
    assert update.evidence.final_code == "4.13"


def test_an_empty_uri_in_a_block_resets(ready: Any) -> None:
    """As the one without Block1 does; no update."""
    in_blocks(ready, "/5/0/1", b"", size=16, content_format=0)
    ready.exchange("0.03", "/5/0/1", "2.04", block1=Block(0, False, 2), content_format=0)
    assert len(ready.capture().updates) == 0


REFUSED_PUSH = """
    repository > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
    device > repository  ACK 4.05 1:0/1/1024
"""


@pytest.mark.parametrize("when", ["between two blocks", "in Downloaded"])
def test_another_servers_refused_write_takes_nothing_over(session: Any, when: str) -> None:
    """It is an update of its own, failed at once; the one that is under way keeps its States, Result and success."""
    before, after = ("push 0", "push 1-2") if when == "between two blocks" else ("push", "")
    session.script(f"ready\n{before}\n{REFUSED_PUSH}\n{after}\ninstalled")
    first, second = (session.capture().update(number) for number in (0, 1))
    assert (first.outcome, first.states, first.results, first.image_size) == ("succeeded", (0, 2, 3, 0), (0, 1), 3000)
    assert (second.outcome, second.evidence.final_code, second.results) == ("failed", "4.05", (0,))
    assert first.frames[0] < second.frames[0] < second.frames[1] < first.frames[1]


def test_another_servers_write_after_the_end_is_the_next_update(session: Any) -> None:
    """Refused or not: what is read afterwards is of it."""
    session.script(f"ready\npush\ninstalled\n{REFUSED_PUSH}\nread /5/0/5 1")
    assert [session.capture().update(number).outcome for number in (0, 1)] == ["succeeded", "failed"]
    assert session.capture().update(0).until == session.capture().update(1).frames[0]


@pytest.mark.parametrize("path", ["/3/0/3", "/5/0/7"])
def test_a_version_that_is_no_utf_8_is_shown_and_ends_nothing(ready: Any, image: bytes, path: str) -> None:
    """Damaged on the way, or a device that means it: the bytes are escaped on screen, in JSON and in the sentence."""
    ready.push(image)
    ready.exchange("0.01", path, "2.05", answer=b"3.\xba3.1", answer_format=42)
    update = only(finish(ready, version=None))
    versions = update.firmware_versions if path == "/3/0/3" else update.pkg_versions
    assert versions[-1] == r"3.\xba3.1"
    assert update.firmware_version_after == (r"3.\xba3.1" if path == "/3/0/3" else None)
    found = lab.explain(update.capture)
    assert r"3.\xba3.1" in str(found)
    assert json.loads(json.dumps(update.to_dict()))["endpoint"] == "dev-1"


def test_a_state_or_result_that_is_no_number_is_no_value(ready: Any, image: bytes) -> None:
    """It is left out as a refused read is, and is not the last Result that decides."""
    ready.push(image)
    ready.read("/5/0/3", "abc")
    finish(ready)
    ready.read("/5/0/5", "xyz")
    update = only(ready)
    assert (update.states, update.results, update.outcome) == ((0, 2, 3, 0), (0, 1), "succeeded")
