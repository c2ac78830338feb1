"""libcoap asks our device what the probes ask: over real sockets the answers are by the book, too."""

from __future__ import annotations

import pathlib
import re
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.requests import Timers
from tests.live.probes import Probe, probes

#: What libcoap prints of an answer that it got, ``v:1 t:ACK c:2.05 i:1234 {01} [ Content-Format:text/plain ]``.
_ANSWER = re.compile(r"t:(?:ACK|CON|NON) c:([245]\.\d\d) ")
_FORMAT = re.compile(r"Content-Format:([^,\] ]+)")
#: libcoap's client leaves a longer query out of its request.
LONGEST_QUERY = 60
#: With this option it asks a proxy, on a port of its own choice.
PROXY_SCHEME = (39, b"x")
#: Formats that libcoap prints by name; the others it prints as numbers.
_NAMES = {"text/plain": 0, "application/link-format": 40, "application/octet-stream": 42,
          "application/senml+json": 110, "application/senml+cbor": 112,
          "application/vnd.oma.lwm2m+tlv": 11542}  # fmt: skip


@pytest.mark.parametrize("lwm2m", ["1.0", "1.1", "1.2"])
def test_every_request_is_answered_by_the_book(
    lwm2m: str, coap_client: str, tmp_path: pathlib.Path, judge: Callable[..., int]
) -> None:
    """Those that libcoap can say; afterwards the device is what it was, and tshark reads its capture as we do."""
    asked, wrong, path = 0, [], tmp_path / "payload"
    with lab.Device(
        lab.DeviceOptions(lwm2m=lwm2m), server="coap://127.0.0.1:9", timers=Timers(ack_timeout=0.2)
    ) as device:
        for probe in probes(lwm2m):
            if any(len(one) > LONGEST_QUERY for one in probe.queries) or probe.option == PROXY_SCHEME:
                continue
            path.write_bytes(probe.payload)
            done = subprocess.run(
                [*_command(coap_client, probe, path), _uri(device.address, probe)],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            said = (done.stdout + done.stderr).decode("latin-1")
            answers = [line for line in said.splitlines() if _ANSWER.search(line)]
            code = _ANSWER.findall(answers[-1])[0] if answers else None
            found = _FORMAT.findall(answers[-1]) if answers else []
            content_format = _NAMES.get(found[0], found[0]) if found else None
            asked += 1
            if code != probe.code or probe.answer_format not in (None, _number(content_format)):
                wrong.append(f"{probe}: {code}, {content_format}")
        assert [one.what for one in device.truth] == ["boot"]
        assert (device.state, device.result) == (0, 0)
        assert judge(device) > 2 * asked
    assert wrong == []
    assert asked >= 150


def _number(content_format: object) -> int | None:
    return int(str(content_format)) if content_format is not None else None


def _command(client: str, probe: Probe, payload: pathlib.Path) -> list[str]:
    """The words of libcoap's client for a probe."""
    command = [client, "-B", "10", "-v", "7", "-m", probe.method.lower()]
    command += ["-t", str(probe.content_format)] if probe.content_format is not None else []
    command += ["-A", str(probe.accept)] if probe.accept is not None else []
    command += ["-O", f"{probe.option[0]},0x{probe.option[1].hex()}"] if probe.option is not None else []
    return [*command, *(["-f", str(payload)] if probe.payload else [])]


def _uri(address: str, probe: Probe) -> str:
    queries = "&".join(urllib.parse.quote(one, safe="=") for one in probe.queries)
    return f"coap://{address}{probe.path}" + (f"?{queries}" if queries else "")
