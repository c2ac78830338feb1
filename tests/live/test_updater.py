"""Object 5 of the device: its versions, cancel, deferral, limits, resumption, slots, signatures, profiles."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.flash import Flash, StateFile
from lwm2m_lab.live.image import FirmwareImage, public_key
from lwm2m_lab.live.network import SIMULATED_EPOCH_NS
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire.encoding import encode_tlv
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse

IMAGE = lab.image(version="2.1.0", size=5000)
URI = "coap://192.0.2.3/fw.bin"
FILES = {"/fw.bin": IMAGE.data}
OPAQUE, TLV = 42, 11542


@pytest.mark.parametrize(
    ("version", "readable", "codes"),
    [
        ("1.0", {1, 3, 5, 8, 9}, {10: "4.04", 11: "4.04", 12: "4.04", 13: "4.04", 14: "4.04"}),
        ("1.1", {1, 3, 5, 8, 9, 11, 12, 13}, {10: "4.05", 14: "4.04"}),
        ("1.2", {1, 3, 5, 8, 9, 11, 12, 13, 14}, {10: "4.05"}),
    ],
)
def test_the_resources_of_each_version(version: str, readable: set[int], codes: dict[int, str]) -> None:
    """What the object file of the version lists, and nothing else."""

    async def script(bench: Bench) -> None:
        shown = {path for path in bench.device.operations.readable() if path.startswith("/5/")}
        assert shown == {f"/5/0/{number}" for number in readable}
        for number, code in codes.items():
            assert await bench.code("GET", f"/5/0/{number}") == code

    converse(script, object_version=version)


def test_cancel_in_every_state() -> None:
    """4.05 in Idle and Updating, Result 10 while downloading and once downloaded; the package is gone."""

    async def script(bench: Bench) -> None:
        assert (await bench.code("POST", "/5/0/10"), await bench.status()) == ("4.05", "0/0")
        first = {"content_format": OPAQUE, "block1": (0, True, 6)}
        assert await bench.code("PUT", "/5/0/0", IMAGE.data[:1024], **first) == "2.31"
        assert (await bench.code("POST", "/5/0/10"), await bench.status()) == ("2.04", "0/10")
        second = {"content_format": OPAQUE, "block1": (1, True, 6)}
        assert await bench.code("PUT", "/5/0/0", IMAGE.data[1024:2048], **second) == "4.08"
        assert (await bench.push(IMAGE.data), await bench.status()) == ("2.04", "2/0")
        assert await bench.read("/5/0/7") == "2.1.0"
        assert (await bench.code("POST", "/5/0/10"), await bench.status()) == ("2.04", "0/10")
        assert (await bench.read("/5/0/7"), bench.device.flash.package) == (None, b"")
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        assert (await bench.code("POST", "/5/0/10"), await bench.status()) == ("4.05", "3/0")

    converse(script)


def test_severity_and_defer_period_keep_to_their_ranges() -> None:
    """4.00 outside, and the value stays."""

    async def script(bench: Bench) -> None:
        assert await bench.read("/5/0/11") == "1"
        for path, bad, good in (("/5/0/11", ("3", "-1", "high"), "2"), ("/5/0/13", ("-1", "soon"), "3600")):
            for value in bad:
                assert await bench.write(path, value) == "4.00"
            assert (await bench.write(path, good), await bench.read(path)) == ("2.04", good)
        assert await bench.write("/5/0/14", "2") == "4.00"
        assert (await bench.write("/5/0/14", "1"), await bench.read("/5/0/14")) == ("2.04", "1")
        assert await bench.write("/5/0/12", "0") == "4.05"

    converse(script, object_version="1.2")


@pytest.mark.parametrize(
    ("severity", "allowed", "user", "waits"),
    [(1, 3600, 600, 600), (1, 300, 600, 300), (0, 3600, 600, 0), (1, 0, 600, 0), (2, 3600, 0, 0)],
)
def test_deferral(severity: int, allowed: int, user: float, waits: float) -> None:
    """The user's wish within Maximum Defer Period; a critical package, a period of 0 and no wish install at once."""

    async def script(bench: Bench) -> None:
        await bench.write("/5/0/11", severity)
        await bench.write("/5/0/13", allowed)
        await bench.push(IMAGE.data)
        start = bench.now
        told = await bench.observe("/5/0/3")
        assert await bench.code("POST", "/5/0/2") == "2.04"
        assert await bench.status() == ("2/11" if waits else "3/0")
        await bench.reborn()
        assert await bench.status() == "0/1"
        assert [value for _, value in told] == ["2", "3"]
        assert 0 <= told[1][0] - start - waits < 2

    converse(script, user_defers=user)


def test_a_deferred_package_can_be_cancelled() -> None:
    """Result 10, and nothing is installed when the period would have been over."""

    async def script(bench: Bench) -> None:
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        assert await bench.code("POST", "/5/0/10") == "2.04"
        await bench.sleep(1000)
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/10", "1.0.0")

    converse(script, user_defers=600, max_defer_period=600)


def test_automatic_upgrade_needs_no_execute() -> None:
    """Object 5 version 1.2: the installation begins when the package is there."""

    async def script(bench: Bench) -> None:
        await bench.write("/5/0/14", 1)
        assert await bench.push(IMAGE.data) == "2.04"
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/1", "2.1.0")

    converse(script, object_version="1.2")


def test_last_state_change_time() -> None:
    """Seconds since the epoch of the last change of State, not of Result."""

    async def script(bench: Bench) -> None:
        epoch = SIMULATED_EPOCH_NS // 10**9
        assert await bench.read("/5/0/12") == str(epoch)
        await bench.sleep(100)
        await bench.push(IMAGE.data)
        assert 100 <= int(await bench.read("/5/0/12") or 0) - epoch <= 103

    converse(script)


@pytest.mark.parametrize(
    ("options", "code", "status"),
    [({"storage": 3000}, "4.13", "0/2"), ({"memory": 3000}, "5.00", "0/3"),
     ({"storage": 3000, "profile": "zephyr", "object_version": "1.0"}, "4.13", "0/2"),
     ({"storage": 3000, "profile": "anjay"}, "5.00", "0/2")],
)  # fmt: skip
@pytest.mark.parametrize("size1", [True, False])
def test_limits(options: dict[str, Any], code: str, status: str, size1: bool) -> None:
    """Out of storage is 4.13 with the limit in Size1, out of memory 5.00; by Size1 at once."""

    async def script(bench: Bench) -> None:
        for number in range(5):
            block = IMAGE.data[number * 1024 : number * 1024 + 1024]
            response = await bench.ask(
                "PUT", "/5/0/0", block, content_format=OPAQUE, block1=(number, number < 4, 6),
                size1=5000 if size1 and number == 0 else None,
            )  # fmt: skip
            if response.code.dotted != "2.31":
                break
        assert (number, response.code.dotted) == (0 if size1 else 2, code)
        assert response.opt.size1 == (3000 if code == "4.13" else None)
        assert await bench.status() == status
        assert bench.device.updater.receiver.body == b""

    converse(script, **options)


@pytest.mark.parametrize("limit", ["storage", "memory"])
def test_limits_of_a_pull(limit: str) -> None:
    """Size2 or the body itself says that it is too large."""
    run = lab.pull(IMAGE, device=DeviceOptions(**{limit: 3000}))
    assert f"Update Result {2 if limit == 'storage' else 3}" in run.report.sentence


@pytest.mark.parametrize(
    ("uri", "write", "status"),
    [
        ("file:///etc/passwd", "2.04", "0/9"),
        ("ftp://192.0.2.3/x", "2.04", "0/9"),
        ("coaps://192.0.2.3/x", "2.04", "0/9"),
        ("coap://192.0.2.2:50000/5/0/3", "2.04", "0/7"),
        ("coap:///nobody", "2.04", "0/7"),
        ("nonsense", "2.04", "0/7"),
        ("coap://[::1", "2.04", "0/7"),
        ("coap://192.0.2.3:99999/x", "2.04", "0/7"),
        ("coap://192.0.2.3/x#part", "2.04", "0/7"),
        ("coap://192.0.2.3/" + "x" * 10_000, "4.00", "0/0"),
        ("x" * 256, "4.00", "0/0"),
    ],
)
def test_package_uris_that_cannot_be(uri: str, write: str, status: str) -> None:
    """The Write succeeds and the Update Result says why not; beyond 255 bytes the Write itself is wrong."""

    async def script(bench: Bench) -> None:
        assert await bench.write("/5/0/1", uri) == write
        await bench.sleep(5)
        assert await bench.status() == status

    converse(script)


def test_a_server_in_the_world_sends_nobody_into_the_devices_network() -> None:
    """A Package URI with a private host is invalid, unless the server lives in such a network itself."""

    async def script(bench: Bench) -> None:
        bench.device.servers = ("coap://93.184.216.34",)
        for host in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "[::1]", "[fd00::1]", "localhost", "169.254.1.1"):
            await bench.write("/5/0/1", f"coap://{host}/x")
            await bench.sleep(1)
            assert await bench.status() == "0/7", host
        asked = [one for one in bench.device.network.sightings if one.destination[0] not in ("192.0.2.1", "192.0.2.2")]
        assert asked == []

    converse(script)


@pytest.mark.parametrize("changes", [False, True])
def test_a_download_that_broke_off_is_resumed(changes: bool) -> None:
    """With offset and ETag after the outage; from the beginning where the ETag has changed meanwhile."""
    other = lab.image(version="2.2.0", size=5000).data

    async def script(bench: Bench) -> None:
        await bench.write("/5/0/1", URI)
        await bench.sleep(40)
        assert bench.device.updater.machine.state == 1
        if changes:
            bench.repository.files = {"/fw.bin": other}
            bench.repository._etags = {"/fw.bin": b"new"}
        await bench.sleep(300)
        assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "2.2.0" if changes else "2.1.0")
        seen = [one for one in bench.device.network.sightings if one.side == "server"]
        asked = [one for one in seen if one.destination[0] == "192.0.2.3" or one.source[0] == "192.0.2.3"]
        assert len([one for one in asked if one.source[0] == "192.0.2.3"]) < (160 if changes else 90)

    link = lab.Link(outages=[(3.0, 120.0)], delay=0.05)
    converse(script, link=link, files=FILES, resume_attempts=2, resume_after=5.0, block_size=64)


def test_a_push_beside_a_pull_is_refused() -> None:
    """A block 0 is a restart of its own push alone; the pull goes on."""

    async def script(bench: Bench) -> None:
        await bench.write("/5/0/1", URI)
        options = {"content_format": OPAQUE, "block1": (0, True, 6)}
        assert await bench.code("PUT", "/5/0/0", IMAGE.data[:1024], **options) == "4.05"
        assert await bench.code("PUT", "/5/0/0", b"abc", content_format=OPAQUE) == "4.05"
        await bench.sleep(5)
        assert await bench.status() == "2/0"
        assert await bench.code("PUT", "/5/0/0", IMAGE.data[:1024], **options) == "4.05"
        assert await bench.write("/5/0/1", "") == "2.04"
        assert (await bench.status(), await bench.read("/5/0/1")) == ("0/0", "")

    converse(script, files=FILES)


def test_wrong_blocks() -> None:
    """A block 1 without block 0, the reserved size, a TLV of another resource, a block without a format."""

    async def script(bench: Bench) -> None:
        image = IMAGE.data
        for options, payload, code in (
            ({"content_format": OPAQUE, "block1": (1, True, 6)}, image[:1024], "4.08"),
            ({"content_format": OPAQUE, "block1": (0, True, 7)}, image[:1024], "4.00"),
            ({"content_format": OPAQUE, "block1": (0, True, 6)}, image[:1000], "4.00"),
            ({"block1": (0, True, 6)}, image[:1024], "4.00"),
            ({"content_format": 50, "block1": (0, True, 6)}, image[:1024], "4.15"),
        ):
            assert (await bench.code("PUT", "/5/0/0", payload, **options), await bench.status()) == (code, "0/0")
        wrong = encode_tlv([Entry("/5/0/1", "coap://x")], base="/5/0")
        assert await bench.code("PUT", "/5/0/0", wrong, content_format=TLV) == "2.04"
        assert await bench.status() == "0/6"

    converse(script)


def test_two_slots_confirm_a_trial() -> None:
    """The new version registers in State 3, and is confirmed: then State 0 and Result 1."""

    async def script(bench: Bench) -> None:
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3"), await bench.read("/5/0/7")) == ("3/0", "2.1.0", None)
        await bench.sleep(60)
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/1", "2.1.0")

    converse(script, slots="ab")


@pytest.mark.parametrize("how", ["self-test", "reboot"])
def test_two_slots_revert_a_trial(how: str) -> None:
    """A self-test that fails, or a reboot before it is over: the old version is back, State 0 and Result 8."""

    async def script(bench: Bench) -> None:
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert await bench.read("/3/0/3") == "2.1.0"
        if how == "reboot":
            await bench.code("POST", "/3/0/4")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/8", "1.0.0")

    converse(script, slots="ab", trial_fails=how == "self-test")


def test_software_apart_from_firmware() -> None:
    """A package of software changes /3/0/19 and leaves /3/0/3 alone."""

    async def script(bench: Bench) -> None:
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/1", "1.0.0")
        assert await bench.read("/3/0/19") == "2.1.0"
        assert bench.device.truth[-1].firmware_version == "1.0.0"

    converse(script, installs="software", software_version="0.9.0")
    with pytest.raises(BadInput, match="software_version is expected"):
        DeviceOptions(installs="software")


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (lab.image(version="2.1.0", size=5000, seed=7, signed=True), "2/0"),
        (lab.image(version="2.1.0", size=5000, seed=8, signed=True), "0/5"),
        (lab.image(version="2.1.0", size=5000), "0/5"),
    ],
)
def test_a_signature_is_checked_with_the_key(image: Any, status: str) -> None:
    """Signed with the key, with another one, not at all."""

    async def script(bench: Bench) -> None:
        assert (await bench.push(image.data), await bench.status()) == ("2.04", status)

    converse(script, verify_key=public_key(7))


def _rearranged(data: bytes, order: Sequence[int], changes: Sequence[tuple[int, int]]) -> bytes:
    """An image whose TLVs stand in another order or are missing, and whose last bytes are changed."""
    at = data.rfind(b"\x07\x69") + 4
    parts, place = [], at
    while place < len(data):
        length = 4 + int.from_bytes(data[place + 2 : place + 4], "little")
        parts.append(data[place : place + length])
        place += length
    made = bytearray(data[:at] + b"".join(parts[number % len(parts)] for number in order))
    made[at - 2 : at] = (len(made) - at + 4).to_bytes(2, "little")
    for back, value in changes:
        made[-1 - back % len(made)] = value
    return bytes(made)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=6),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=3),
)
@example([2, 1, 0], [])
def test_any_signature_is_judged(order: list[int], changes: list[tuple[int, int]]) -> None:
    """Digest, key and signature in any order, twice, missing or damaged: the device lives, and takes no forgery."""
    good = lab.image(version="2.1.0", size=1500, seed=7, signed=True)
    package = _rearranged(good.data, order, changes)

    async def script(bench: Bench) -> None:
        assert await bench.push(package) == "2.04"
        status = await bench.status()
        assert status in ("2/0", "0/5", "0/6")
        if status == "2/0":
            assert lab.image(version="2.1.0", size=1500, seed=7, signed=True).data[:1356] == package[:1356]
            assert FirmwareImage(package, "").verify(key=public_key(7)) == "OK"

    converse(script, verify_key=public_key(7))


def test_a_key_that_is_none_is_refused_at_once(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not when the first package comes."""
    with pytest.raises(BadInput, match="a public key in PEM is expected"):
        DeviceOptions(verify_key=b"garbage")
    path = tmp_path / "key.pem"
    for there, said in ((False, "cannot be read"), (True, "none that imgtool knows")):
        if there:
            path.write_bytes(b"garbage")
        assert main(["device", "--verify-key", str(path)]) == 2
        assert said in capsys.readouterr().err


def test_a_reboot_in_the_middle() -> None:
    """Half a package does not survive, a whole one does (A6, as the strict profile reads it)."""

    async def script(bench: Bench) -> None:
        first = {"content_format": OPAQUE, "block1": (0, True, 6)}
        await bench.code("PUT", "/5/0/0", IMAGE.data[:1024], **first)
        await bench.code("POST", "/3/0/4")
        await bench.reborn()
        assert await bench.status() == "0/4"
        await bench.push(IMAGE.data)
        await bench.code("POST", "/3/0/4")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "2.1.0")

    converse(script)


# ---------------------------------------------------------------- profiles


def test_anjay_shows_no_state_1_and_says_4_00() -> None:
    """As captured: Idle until the push is complete, 4.00 for a Write out of turn and for a scheme it does not know."""

    async def script(bench: Bench) -> None:
        told = await bench.observe("/5/0/3")
        first = {"content_format": OPAQUE, "block1": (0, True, 6)}
        await bench.code("PUT", "/5/0/0", IMAGE.data[:1024], **first)
        assert await bench.status() == "0/0"
        assert await bench.write("/5/0/1", URI) == "4.00"
        assert await bench.push(IMAGE.data) == "2.04"
        assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "1.0")
        assert [value for _, value in told] == ["0", "2"]
        assert await bench.push(IMAGE.data) == "4.00"
        assert await bench.code("PUT", "/5/0/0", b"\0", content_format=OPAQUE) == "2.04"
        assert (await bench.write("/5/0/1", "ftp://192.0.2.3/x"), await bench.status()) == ("4.00", "0/9")
        told.clear()
        assert await bench.write("/5/0/1", "coap://nobody.example/x") == "2.04"
        await bench.sleep(3)
        assert (await bench.status(), told) == ("0/7", [])

    converse(script, profile="anjay")


def test_zephyr_forgets_at_boot_and_says_failures_in_the_code() -> None:
    """No Result 1 ever, 4.08 for a hash that does not match, no reset in Idle."""

    async def script(bench: Bench) -> None:
        assert (await bench.push(IMAGE.damaged().data), await bench.status()) == ("4.08", "0/5")
        assert await bench.write("/5/0/1", "") == "2.04"
        assert await bench.status() == "0/5"
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/0", "2.1.0")

    converse(script, profile="zephyr", object_version="1.0")


def test_wakaama_takes_everything_and_does_nothing() -> None:
    """State begins at 1, packages change nothing, Execute sets 2, arguments are refused."""

    async def script(bench: Bench) -> None:
        assert await bench.status() == "1/0"
        assert (await bench.push(IMAGE.data), await bench.status()) == ("2.04", "1/0")
        assert await bench.write("/5/0/1", URI) == "2.04"
        assert await bench.code("POST", "/5/0/2", b"0='x'") == "4.00"
        assert (await bench.code("POST", "/5/0/2"), await bench.status()) == ("2.04", "2/0")

    converse(script, profile="wakaama", object_version="1.0")

    async def out_of_turn(bench: Bench) -> None:
        bench.device.updater.enter(0, 0)
        assert await bench.code("POST", "/5/0/2") == "4.00"

    converse(out_of_turn, profile="wakaama", object_version="1.0")


# ---------------------------------------------------------------- the state file


def test_the_state_file_outlives_the_process(tmp_path: pathlib.Path) -> None:
    """Downloaded, with its package and what the server has written, in a device that begins anew."""
    path = tmp_path / "device.json"

    async def before(bench: Bench) -> None:
        await bench.write("/5/0/11", 2)
        await bench.write("/1/0/1", 500)
        await bench.push(IMAGE.data)

    async def after(bench: Bench) -> None:
        assert bench.server.received[0].opt.uri_query[2] == "lt=500"
        assert (await bench.status(), await bench.read("/5/0/7"), await bench.read("/5/0/11")) == ("2/0", "2.1.0", "2")
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert (await bench.status(), await bench.read("/3/0/3")) == ("0/1", "2.1.0")

    converse(before, store=StateFile(path))
    converse(after, store=StateFile(path))
    assert [one.name for one in tmp_path.iterdir()] == ["device.json"], "the package is installed, its file gone"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', "\xff", "null"])
def test_a_file_that_is_no_state_is_refused(text: str, tmp_path: pathlib.Path) -> None:
    """One sentence, and the file is left as it is."""
    path = tmp_path / "device.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput, match=r"state file"):
        StateFile(path).load(DeviceOptions())
    assert path.read_text(encoding="latin-1") == text


def test_a_state_file_without_its_package_is_refused(tmp_path: pathlib.Path) -> None:
    """State 2 without a package would be a lie."""
    path = tmp_path / "device.json"

    async def script(bench: Bench) -> None:
        await bench.push(IMAGE.data)

    converse(script, store=StateFile(path))
    (package,) = tmp_path.glob("*.package")
    assert json.loads(path.read_text())["state"] == 2
    package.write_bytes(b"something else")
    with pytest.raises(BadInput, match="the package beside it is another one"):
        StateFile(path).load(DeviceOptions())


class Killed(BaseException):
    """The end of a process, at a place of the test's choosing."""


@pytest.mark.parametrize("step", range(1, 9))
def test_a_kill_at_any_step_of_saving_leaves_no_file_behind(
    step: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old package and old state, or new package and new state; and after the next boot no third file.

    Saving a flash with another package has seven steps: write and move the package, clear up, write and move the state,
    clear up, and unlink the old package. The eighth is that nobody kills it.
    """
    path, other = tmp_path / "device.json", tmp_path / "device.json.of-another.package"
    other.write_bytes(b"not the device's")
    store, (old, new) = StateFile(path), (lab.image(version=version).data for version in ("1.1.0", "2.1.0"))
    flash = dataclasses.replace(Flash.new(DeviceOptions()), state=State.DOWNLOADED, package=old)
    store.save(flash)
    count = 0

    def counting(name: str) -> None:
        real = getattr(pathlib.Path, name)

        def call(self: pathlib.Path, *given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:
                # Nothing more of a killed process reaches the disk.
                raise Killed
            return real(self, *given, **named)

        monkeypatch.setattr(pathlib.Path, name, call)

    for name in ("write_bytes", "replace", "unlink"):
        counting(name)
    with contextlib.suppress(Killed):
        store.save(dataclasses.replace(flash, package=new))
    monkeypatch.undo()
    assert count >= min(step, 7)
    found, there = StateFile(path).load(DeviceOptions())
    assert there
    assert found.package == (old if step <= 5 else new)
    digest = hashlib.sha256(found.package).hexdigest()[:16]
    assert {one.name for one in tmp_path.iterdir()} == {path.name, f"device.json.{digest}.package", other.name}


def test_a_kill_between_a_cancel_and_the_end_of_its_package(tmp_path: pathlib.Path) -> None:
    """State and result were kept, the package was not yet gone: the next boot drops it, file and all."""
    store = StateFile(tmp_path / "device.json")
    flash = dataclasses.replace(Flash.new(DeviceOptions()), package=IMAGE.data, package_uri="coap://192.0.2.3/x")
    flash.result = UpdateResult.CANCELLED
    store.save(flash)
    assert len(list(tmp_path.glob("*.package"))) == 1

    async def script(bench: Bench) -> tuple[str | None, ...]:
        return await bench.status(), await bench.read("/5/0/7"), await bench.read("/5/0/1")

    assert converse(script, store=StateFile(tmp_path / "device.json")) == ("0/10", None, "")
    assert [one.name for one in tmp_path.iterdir()] == ["device.json"]


def test_a_kill_before_the_first_state_leaves_no_package(tmp_path: pathlib.Path) -> None:
    """The device is as it left the factory, and its folder too."""
    (tmp_path / "device.json.0123456789abcdef.package").write_bytes(b"package")
    (tmp_path / "device.json.part").write_bytes(b"{")
    flash, there = StateFile(tmp_path / "device.json").load(DeviceOptions())
    assert (there, flash.package, list(tmp_path.iterdir())) == (False, b"", [])


def test_a_repository_that_acknowledges_and_never_answers() -> None:
    """The device does not wait for ever: the connection counts as lost."""

    async def script(bench: Bench) -> tuple[str, bool]:
        async def never(_: object) -> None:
            await asyncio.sleep(10**6)

        bench.repository.render_to_pipe = never  # type: ignore[method-assign]
        assert await bench.write("/5/0/1", "coap://192.0.2.3/fw/a") == "2.04"
        await bench.sleep(200)
        waits = await bench.read("/5/0/3") == "1"
        await bench.sleep(400)
        return await bench.status(), waits

    assert converse(script, files={"/fw/a": b"x"}, resume_attempts=0) == ("0/4", True)
