"""Logs beside a capture: every kind of time stamp, clocks that are wrong, boots, and lines that would do harm."""

from __future__ import annotations

import datetime as dt
import pathlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.sequence import rungs
from lwm2m_lab.trace.log_formats import FORMATS, guess_format, without_escapes

EPOCH = 1_709_294_400.25


def utc(seconds: float) -> dt.datetime:
    """A moment of the epoch."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


STAMPS: dict[str, tuple[Callable[[float], str], float]] = {
    "ISO 8601 with zone": (lambda at: utc(at).isoformat(timespec="milliseconds"), 0.001),
    "ISO 8601": (lambda at: f"INFO [anjay] {utc(at):%Y-%m-%d %H:%M:%S},{int(at % 1 * 1000):03d} x", 0.001),
    "web server": (lambda at: f"10.0.0.1 - - [{utc(at):%d/%b/%Y:%H:%M:%S} +0000] x", 1.0),
    "syslog": (lambda at: f"{utc(at):%b %d %H:%M:%S} host lwm2m[12]: x", 1.0),
    "month and day": (lambda at: f"{utc(at):%m-%d %H:%M:%S}.{int(at % 1 * 1000):03d} D/x", 0.001),
    "epoch milliseconds": (lambda at: f"{at * 1000:.0f} x", 0.001),
    "epoch seconds": (lambda at: f"[{at:.6f}] x", 1e-6),
    "time of day": (lambda at: f"{utc(at):%H:%M:%S}.{int(at % 1 * 1000):03d} x", 0.001),
}


@pytest.mark.parametrize("name", STAMPS)
def test_every_stamp_of_a_calendar(name: str) -> None:
    """Guessed, and read back to the resolution that it has."""
    write, resolution = STAMPS[name]
    lines = [write(EPOCH + at) for at in range(0, 40, 2)]
    form = guess_format(lines)
    assert form.name == name
    first, last = form.stamp(lines[0]), form.stamp(lines[-1])
    assert first is not None
    assert last is not None
    assert last.seconds - first.seconds == pytest.approx(38, abs=resolution)
    if form.zero in ("epoch", "local"):
        assert first.seconds == pytest.approx(EPOCH, abs=resolution)


@pytest.mark.parametrize(
    ("line", "name", "seconds", "rest"),
    [
        ("[01:02:03.004,005] <inf> net_lwm2m: up", "seconds since boot (Zephyr)", 3723.004005, "<inf> net_lwm2m: up"),
        ("[   12.345678] usb 1-1: new", "seconds since boot", 12.345678, "usb 1-1: new"),
        ("I (1234) wifi: connected", "milliseconds since boot (ESP-IDF)", 1.234, "I wifi: connected"),
        ("12.5 hello", "plain seconds", 12.5, "hello"),
        ("2024-03-01T12:00:00+01:00 x", "ISO 8601 with zone", 1_709_290_800.0, "x"),
    ],
)
def test_single_stamps(line: str, name: str, seconds: float, rest: str) -> None:
    """What the stamp says, and what is left of the line."""
    form = guess_format([line])
    stamp = form.stamp(line)
    assert stamp is not None
    assert (form.name, stamp.rest) == (name, rest)
    assert stamp.seconds == pytest.approx(seconds)


@given(st.text(max_size=80))
def test_no_line_is_too_strange(line: str) -> None:
    """Arbitrary text has a stamp or none, and never an exception."""
    for form in FORMATS:
        stamp = form.stamp(without_escapes(line))
        assert stamp is None or stamp.seconds == stamp.seconds


def device_log(run: Any, write: Callable[[float], str], *, offset: float, form: str, jitter: float = 0.0) -> list[str]:
    """What a device would have logged of the messages that it saw, by a clock that is wrong by `offset`."""
    dice, device = random.Random(7), run.device_side().messages
    start = float(run.messages["time"].iloc[0])
    lines = []
    for row in device.itertuples():
        at = row.time - start
        words = form.format(mid=row.mid, token=row.token, path=row.uri_path)
        lines.append(f"{write(at + offset + dice.uniform(0, jitter))} {words}")
    return lines


def zephyr(seconds: float) -> str:
    """An uptime as Zephyr writes it."""
    micros = round(seconds * 1e6)
    minutes, rest = divmod(micros, 60_000_000)
    milli = rest // 1000
    return f"[{minutes // 60:02d}:{minutes % 60:02d}:{milli // 1000:02d}.{milli % 1000:03d},{rest % 1000:03d}]"


@pytest.mark.parametrize("form", ["<dbg> coap: msg id {mid}", "rx token={token}", "CON i:{mid:04x} {{{token}}}"])
def test_an_offset_is_fitted(form: str, tmp_path: pathlib.Path) -> None:
    """From message ids, decimal or hex, or tokens; the device is 50 ms away, and its log a little late."""
    run = lab.push(size=9000, seed=3, link=lab.Link(loss=0.1))
    path = tmp_path / "device.log"
    path.write_text("\n".join(device_log(run, zephyr, offset=4321.0, form=form, jitter=0.02)))
    capture = run.with_log(path)
    (log,) = capture.logs
    (fit,) = log.fits
    assert fit is not None
    assert fit.matches > 20
    assert log.offset_s[0] == pytest.approx(-4321.0, abs=0.1)
    assert fit.residual_s < 0.1
    assert "lines with" in str(capture)


def test_each_boot_has_its_own_offset(tmp_path: pathlib.Path) -> None:
    """The clock begins anew with the reboot, and lines go where they belong."""
    run = lab.push(size=5000, seed=3)
    lines = device_log(run, zephyr, offset=100.0, form="mid={mid}")
    reboot = float(run.registrations["time"].iloc[-1]) - 2.0
    later = [line for line in lines if line > zephyr(100 + reboot)]
    earlier = [line for line in lines if line <= zephyr(100 + reboot)]
    shifted = [zephyr(uptime(line) - 100 - reboot) + line[line.index("]") + 1 :] for line in later]
    path = tmp_path / "device.log"
    path.write_text("\n".join([*earlier, *shifted]))
    (log,) = run.with_log(path).logs
    assert len(log.offset_s) == 2
    assert log.offset_s[0] == pytest.approx(-100, abs=0.1)
    assert log.offset_s[1] == pytest.approx(reboot, abs=0.1)


def uptime(line: str) -> float:
    """Seconds of a line of Zephyr's."""
    stamp = guess_format([line]).stamp(line)
    assert stamp is not None
    return stamp.seconds


@pytest.mark.parametrize("name", STAMPS)
def test_a_wrong_calendar_is_put_right(name: str, tmp_path: pathlib.Path) -> None:
    """A server's clock that is an hour and a bit ahead, in every format that tells the time."""
    run = lab.push(size=9000, seed=3)
    write, resolution = STAMPS[name]
    start = float(run.messages["time"].iloc[0])
    path = tmp_path / "server.log"
    path.write_text("\n".join(device_log(run, lambda at: write(start + at), offset=3700.0, form="mid={mid}")))
    capture = run.with_log(path, name="server")
    found = float(capture.log["time"].iloc[0])
    assert found == pytest.approx(float(run.device_side().messages["time"].iloc[0]) - start, abs=0.1 + resolution)
    assert set(capture.log["source"]) == {"server"}


def test_without_anything_in_common_it_is_said(tmp_path: pathlib.Path) -> None:
    """The clock is the capture's, a zone is assumed, or boot is the first message; an offset can be given."""
    run = lab.push(size=5000)
    start = float(run.messages["time"].iloc[0])
    path = tmp_path / "a.log"
    path.write_text(utc(start + 2).isoformat() + " hello\n")
    (log,) = run.with_log(path).logs
    assert (log.offset_s, log.fits) == ((0.0,), (None,))
    assert "its clock was taken as the capture's" in log.note
    path.write_text(f"{utc(start + 2 + 7200):%Y-%m-%d %H:%M:%S} hello\n")
    assert "a time zone of -2.00 h was assumed" in run.with_log(path).logs[0].note
    path.write_text("[00:00:03.000,000] hello\n")
    capture = run.with_log(path)
    assert "its zero was laid on the first message" in capture.logs[0].note
    assert capture.log["time"].tolist() == [3.0]
    assert run.with_log(path, offset=-1.5).log["time"].tolist() == [1.5]


def test_chance_is_no_fit(tmp_path: pathlib.Path) -> None:
    """Numbers that mean nothing agree on nothing."""
    run, dice = lab.push(size=9000, seed=3), random.Random(1)
    path = tmp_path / "noise.log"
    mids = run.messages["mid"].tolist()
    path.write_text("\n".join(f"{zephyr(dice.uniform(0, 900))} id {dice.choice(mids)}" for _ in range(40)))
    assert all(fit is None for fit in run.with_log(path).logs[0].fits)


def test_a_pattern_of_ones_own(tmp_path: pathlib.Path) -> None:
    """Its group `time` may be in any format, or plain seconds."""
    run, path = lab.push(size=5000), tmp_path / "x.log"
    path.write_text("level=info t=12.5 msg=hello\nand more of it\n")
    capture = run.with_log(path, pattern=r"t=(?P<time>[\d.]+)", offset=-10.0)
    assert capture.log["time"].tolist() == [2.5, 2.5]
    assert capture.log["line"].tolist() == [1, 2]
    assert capture.log["frame"].isin(run.messages["frame"]).all()


@pytest.mark.parametrize(
    ("text", "pattern", "offset", "said"),
    [
        ("hello\nworld\n", None, None, "no time stamp is recognised"),
        ("", None, None, "no time stamp is recognised"),
        ("1.5 x", "[", None, "is no regular expression"),
        ("1.5 x", "x", None, "has no group 'time'"),
        ("1.5 x", "y(?P<time>z)", None, "no line of"),
        ("1.5 x", None, float("nan"), "a finite number of seconds"),
    ],
)
def test_logs_that_cannot_be_used(
    text: str, pattern: str | None, offset: float | None, said: str, tmp_path: pathlib.Path
) -> None:
    """One sentence each."""
    path = tmp_path / "bad.log"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        lab.read().with_log(path, pattern=pattern, offset=offset)
    with pytest.raises(BadInput, match="cannot be read"):
        lab.read().with_log(tmp_path / "nowhere.log")


def test_nothing_in_a_log_is_obeyed(tmp_path: pathlib.Path) -> None:
    """Colours go, other control characters are shown, bytes that are no text are replaced, lines have an end."""
    path = tmp_path / "evil.log"
    lines = [b"\x1b[1;31m[00:00:00.500,000]\x1b[0m red", b"[00:00:00.600,000] \x1b]0;title\x07bell\x07 $x_ \xff"]
    path.write_bytes(b"\r\n".join([*lines, b"[00:00:00.700,000] " + b"A" * 1_000_000, b"[00:00:00.800,000] end"]))
    capture = lab.read().with_log(path, offset=0.0)
    assert capture.log["text"].iloc[0] == "red"
    assert all(text.isprintable() for text in capture.log["text"])
    assert capture.log["text"].str.len().max() <= 2000
    assert capture.log["text"].iloc[-1] == "end"
    assert capture.ladder(last=20) is not None
    assert capture.plot() is not None


def test_logs_stand_in_ladder_and_chart(tmp_path: pathlib.Path) -> None:
    """Several of them, between the messages where they belong; the capture without them is as it was."""
    run = lab.push(size=3000)
    for name, at in (("device", 0.21), ("server", 0.05)):
        (tmp_path / f"{name}.log").write_text(f"{zephyr(at)} <err> {name} says\n")
    capture = run.with_log(tmp_path / "device.log", offset=0.0).with_log(tmp_path / "server.log", offset=0.0)
    assert capture.log["text"].tolist() == ["<err> server says", "<err> device says"]
    shown = rungs(capture)
    at = next(at for at, one in enumerate(shown) if one.kind == "log" and one.source == "device.log")
    assert shown[at - 1].time <= 0.21 <= shown[at + 1].time
    assert not any(one.kind == "log" for one in rungs(capture, logs=False))
    assert len(run.log) == len(run.logs) == 0
    assert len(capture.plot().axes) == len(run.plot().axes) + 1
    assert len(capture.update().plot().axes) == len(capture.plot().axes)
    assert "device.log: <err> device says" in [text.get_text() for text in capture.ladder().axes[0].texts]
