"""One server on several sockets, and endpoint names that belong to identities, with live DTLS."""

from __future__ import annotations

import asyncio
import json
import pathlib
import signal
import subprocess
import sys
from typing import Any

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.network import LoopbackNetwork, free_ports
from lwm2m_lab.live.requests import Requester, Timers, end_loop
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.live.server_options import ServerOptions

A, B = (Credentials({f"id-{name}": bytes([number] * 16)}) for number, name in ((1, "a"), (2, "b")))
BOTH = Credentials({**A.for_reading(), **B.for_reading()})  # type: ignore[dict-item]
IDENTITIES = {"id-a": "a", "id-b": "b"}
EVERYWHERE = ["coap://127.0.0.1:0", "coaps://127.0.0.1:0"]
IMAGE = lab.image(version="2.1.0", size=5000)
PROMPT = ServerOptions(patience=1.0, time_limit=20.0, block_size=512)
QUICK = {"install_time": 0.1, "reboot_time": 0.1}

pytestmark = pytest.mark.usefixtures("dtls")


def device(server: lab.Server, name: str, keys: Credentials | None, **more: Any) -> lab.Device:
    """A device on the line of the server that its keys are for."""
    plain, secure = server.uris
    options = lab.DeviceOptions(endpoint=name, **QUICK, **more)
    return lab.Device(options, server=plain if keys is None else secure, credentials=keys)


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        (["coap://127.0.0.1", "coap://127.0.0.1:5683"], "each once"),
        ([], "one or more URIs"),
        (["coap://0.0.0.0"], "nowhere to listen"),
        (["http://127.0.0.1"], "nowhere to listen"),
        (["coap://127.0.0.1/rd"], "nowhere to listen"),
        (["coap://127.0.0.1:x"], "nowhere to listen"),
        (["coaps://127.0.0.1"], "no keys for coaps"),
    ],
)
def test_where_it_cannot_listen(listen: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        lab.Server(listen=listen)


def test_bind_and_listen_together_are_refused() -> None:
    with pytest.raises(BadInput, match="one of them"):
        lab.Server(listen=["coap://127.0.0.1:0"], bind=("127.0.0.1", 0))


def test_one_line_that_cannot_be_opened_opens_none() -> None:
    """And the other one is free again."""
    (port,) = free_ports(1)
    with lab.Server(bind=("127.0.0.1", 0)) as other:
        taken = [f"coap://127.0.0.1:{port}", f"coaps://{other.address}"]
        with pytest.raises(BadInput, match="cannot be opened"):
            lab.Server(listen=taken, credentials=A).start()
    with lab.Server(bind=("127.0.0.1", port)) as again:
        assert again.uri == f"coap://127.0.0.1:{port}"


def test_one_registry_and_one_repository_on_two_lines() -> None:
    """Each device is asked by the line that it registered on, and pulls by its own scheme."""
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, listen=EVERYWHERE, credentials=BOTH, images=files) as server:
        assert [uri.partition(":")[0] for uri in server.uris] == ["coap", "coaps"]
        with device(server, "plain", None), device(server, "secure", A):
            assert sorted(server.wait_for_devices(2)) == ["plain", "secure"]
            assert {one.endpoint: one.identity for one in server.registrations} == {"plain": None, "secure": "id-a"}
            campaign = server.campaign(IMAGE)
            assert campaign.succeeded
            chosen = {one.endpoint: one.chosen.partition(":")[0] for one in campaign.reports}
            assert chosen == {"plain": "pull by coap", "secure": "pull by coaps"}
        updates = server.capture().updates
    assert sorted(updates["endpoint"]) == ["plain", "secure"]
    assert set(updates["image_sha256"]) == {IMAGE.sha256}


def test_a_device_that_fetches_by_nothing_that_is_served() -> None:
    """Pull alone, and by coap alone: the image is not there, and the report says so."""
    with lab.Server(PROMPT, bind=("127.0.0.1", 0)) as server:
        options = lab.DeviceOptions(endpoint="a", delivery=0)
        with lab.Device(options, server=server.uri):
            server.wait_for("a")
            report = server.update("a", IMAGE)
    assert report.outcome == "failed"
    assert "there is no way to deliver: the device takes a pull alone (/5/0/9 is 0)" in report.sentence


# ---------------------------------------------------------------- identities


def test_a_name_belongs_to_an_identity() -> None:
    """By another session, or by none, it is refused; a name that nobody has is free where there is no DTLS."""
    with lab.Server(listen=EVERYWHERE, credentials=BOTH, identities=IDENTITIES) as server:
        with device(server, "a", B), device(server, "b", None), device(server, "c", None):
            server.wait_for("c")
            for name in "ab":
                with pytest.raises(LabError, match="did not register"):
                    server.wait_for(name, within=1.0)
        messages = server.capture().messages
        refused = messages[messages["code"] == "4.03"]
        assert len(refused) == 2
        with device(server, "a", A), device(server, "b", B):
            assert server.wait_for("a").identity == "id-a"
            assert server.wait_for("b").identity == "id-b"


def test_a_registered_name_stays_with_its_identity() -> None:
    """Without a list: another identity, or none, cannot take it while it is registered; afterwards it is free."""
    network, (port,) = LoopbackNetwork(), free_ports(1)
    taken = ("4.03", "this endpoint name is registered by another identity")

    async def scene(plain: str, secure: str) -> None:
        async def register(keys: Credentials | None, line: str, **more: Any) -> aiocoap.Message:
            query = ("ep=a", "lwm2m=1.1", "lt=300")
            return await ask(network, keys, f"{line}/rd", Code.POST, uri_query=query, payload=b"</3/0>", **more)

        # Without DTLS nobody can tell who sends: the name is anybody's, also that of an identity.
        assert (await register(None, plain)).code == Code.CREATED
        assert (await register(A, secure)).code == Code.CREATED
        assert [said(await register(keys, line)) for keys, line in ((B, secure), (None, plain))] == [taken, taken]
        # The same identity registers again, from another port, and takes leave.
        again = await register(A, secure, port=port)
        place = "/" + "/".join(again.opt.location_path)
        assert (await ask(network, A, secure + place, Code.DELETE)).code == Code.DELETED
        assert (await register(B, secure)).code == Code.CREATED
        assert said(await register(A, secure)) == taken

    with lab.Server(listen=EVERYWHERE, credentials=BOTH) as server:
        loop = network.new_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(scene(*server.uris), 30))
        finally:
            end_loop(loop)


async def ask(network: LoopbackNetwork, keys: Credentials | None, to: str, code: Code, **more: Any) -> aiocoap.Message:
    """One request by a socket of its own, or by the port of `bind`."""
    sessions = None if keys is None else Sessions(keys, opens=True)
    bind = ("127.0.0.1", more.pop("port", 0))
    context = await network.context(None, side="device", bind=bind, sessions=sessions)
    try:
        requester = Requester(context, Timers(ack_timeout=0.5), to.partition(":")[0], sessions)
        return await requester.ask(code, to=to, **more)
    finally:
        await context.shutdown()


def said(answer: aiocoap.Message) -> tuple[str, str]:
    """Code and diagnostic."""
    return answer.code.dotted, answer.payload.decode()


@pytest.mark.parametrize("identities", [IDENTITIES, None])
def test_what_comes_for_a_registration_by_another_session(identities: dict[str, str] | None) -> None:
    """Update, De-register and Send: 4.03 and why, with names that belong to identities and without."""
    network, (port,) = LoopbackNetwork(), free_ports(1)
    another = ("4.03", "the session has another identity than the one that registered this endpoint")

    async def scene(plain: str, secure: str) -> None:
        registered = await ask(
            network, A, f"{secure}/rd", Code.POST, port=port, uri_query=("ep=a", "lwm2m=1.1"), payload=b"</3/0>"
        )
        assert registered.code == Code.CREATED
        place = "/" + "/".join(registered.opt.location_path)
        for keys, line in ((B, secure), (None, plain)):
            assert said(await ask(network, keys, line + place, Code.POST)) == another
            assert said(await ask(network, keys, line + place, Code.DELETE)) == another
        # From the very address of the device.
        sent = b'[{"n":"/3/0/3","vs":"9.9.9"}]'
        for keys, line in ((B, secure), (None, plain)):
            answer = await ask(network, keys, f"{line}/dp", Code.POST, port=port, payload=sent, content_format=110)
            assert said(answer)[0] in ("4.03", "4.04")
            if keys is not None:
                assert said(answer) == another
        assert (await ask(network, A, secure + place, Code.POST)).code == Code.CHANGED
        assert (await ask(network, A, secure + place, Code.DELETE)).code == Code.DELETED

    with lab.Server(listen=EVERYWHERE, credentials=BOTH, identities=identities) as server:
        loop = network.new_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(scene(*server.uris), 30))
        finally:
            end_loop(loop)


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"id": 1}', '{"id": ""}'])
def test_a_file_of_identities_that_is_none(
    text: str | None, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "identities.json"
    if text is not None:
        path.write_text(text)
    assert main(["server", "--identities", str(path)]) == 2
    assert '{"identity": "endpoint"} is expected' in capsys.readouterr().err


def test_session_keys_without_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--session-keys"]) == 2
    assert "--pcap OUT, or --session-keys FILE, is expected" in capsys.readouterr().err


@pytest.mark.parametrize("apart", [True, False])
def test_a_server_leaves_a_capture_that_can_be_read(apart: bool, tmp_path: pathlib.Path, tshark: str) -> None:
    """With its session keys in it, or beside it in a file for its owner alone; the key itself is nowhere."""
    keys, out, log = (tmp_path / name for name in ("keys", "out.pcapng", "session.keys"))
    secret = bytes(range(16)).hex()
    keys.write_text(f"id-a:{secret}\n")
    keys.chmod(0o600)
    (tmp_path / "identities.json").write_text(json.dumps({"id-a": "a"}))
    command = [sys.executable, "-m", "lwm2m_lab", "server", "--psk-file", str(keys), "--pcap", str(out)]
    command += ["--listen", "coap://127.0.0.1:0", "--listen", "coaps://127.0.0.1:0"]
    command += ["--identities", str(tmp_path / "identities.json"), "--session-keys", *([str(log)] if apart else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            uri = first.split()[4]
            own = Credentials({"id-a": bytes(range(16))})
            with lab.Device(lab.DeviceOptions(endpoint="a"), server=uri, credentials=own) as one:
                one.wait_for("registered", within=10)
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(20) == 130
        finally:
            process.kill()
    port = int(uri.rpartition(":")[2])
    options: list[str] = []
    if apart:
        assert len(lab.read(out, ports=(port,)).messages) == 0
        assert log.stat().st_mode & 0o777 == 0o600
        options = ["-o", f"tls.keylog_file:{log}"]
    capture = lab.read(out, ports=(port,), keylog=log if apart else None)
    assert "/rd" in set(capture.messages["uri_path"].dropna())
    reads = [tshark, "-r", str(out), *options, "-Y", "coap"]
    reads += ["-d", f"udp.port=={port},dtls", "-d", f"dtls.port=={port},coap"]
    shown = subprocess.run(reads, capture_output=True, text=True, check=True).stdout
    assert len(shown.splitlines()) == len(capture.messages)
    for one in (out, log) if apart else (out,):
        assert bytes(range(16)) not in one.read_bytes()
        assert secret not in one.read_bytes().decode("latin-1")
    assert secret not in first + rest
