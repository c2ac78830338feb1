"""libcoap fetches from our repository, and registers by hand at our server."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_options import ServerOptions

IMAGE = lab.image(version="2.1.0", size=10_000)


@pytest.fixture
def server(tmp_path: pathlib.Path, judge: Callable[..., int]) -> Iterator[lab.Server]:
    """A server with one image; in the end tshark reads its capture as we do."""
    (tmp_path / "a.bin").write_bytes(IMAGE.data)
    timers = Timers(ack_timeout=0.3, max_retransmit=1)
    with lab.Server(images=tmp_path, bind=("127.0.0.1", 0), timers=timers) as one:
        yield one
        assert judge(one) > 10


def run(client: str, uri: str, *arguments: str) -> bytes:
    """What libcoap's client prints, errors included."""
    done = subprocess.run([client, "-B", "10", *arguments, uri], capture_output=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("block_size", [64, 128, 256, 512, 1024])
def test_an_image_is_fetched(block_size: int, coap_client: str, server: lab.Server, tmp_path: pathlib.Path) -> None:
    """Whole, byte by byte, at the size that was asked for."""
    path = tmp_path / "got.bin"
    said = run(coap_client, f"{server.uri}/fw/a.bin", "-b", str(block_size), "-o", str(path))
    assert said == b""
    assert path.read_bytes() == IMAGE.data
    rows = server.capture().messages
    answers = rows[(rows["code"] == "2.05") & rows["block2_num"].notna()]
    assert set(answers["block2_size"]) == {block_size}
    assert answers["size2"].iloc[0] == IMAGE.size
    assert answers["etag"].nunique() == 1


def test_the_repository_may_ask_for_smaller_blocks(coap_client: str, tmp_path: pathlib.Path) -> None:
    """It serves at most its own size, and libcoap follows."""
    files, path = {"/fw/a.bin": IMAGE.data}, tmp_path / "got.bin"
    with lab.Server(ServerOptions(block_size=128), images=files, bind=("127.0.0.1", 0)) as server:
        assert run(coap_client, f"{server.uri}/fw/a.bin", "-b", "1024", "-o", str(path)) == b""
        assert path.read_bytes() == IMAGE.data


def test_a_registration_by_hand(coap_client: str, server: lab.Server, tmp_path: pathlib.Path) -> None:
    """Register, Update, De-register, also in blocks of 16 bytes, and what is refused, with its diagnostic."""
    links = ("-t", "40", "-e", "</>;rt=oma.lwm2m,</1/0>,</3/0>,</5>;ver=1.1,</5/0>")
    rd = f"{server.uri}/rd?lwm2m=1.1&ep=hand"
    assert run(coap_client, f"{rd}&lt=60", "-m", "post", *links) == b""
    first = server.wait_for("hand")
    assert (first.lifetime, first.version_of(5), first.objects[-1]) == (60, "1.1", "/5/0")
    assert run(coap_client, f"{server.uri}{first.location}?lt=90", "-m", "post") == b""
    assert server.wait_for("hand").lifetime == 90
    assert run(coap_client, rd, "-m", "post", "-b", "16", *links) == b""
    second = server.wait_for("hand")
    assert second.links == first.links
    assert second.location != first.location
    assert run(coap_client, f"{server.uri}{first.location}", "-m", "delete").startswith(b"4.04 ")
    assert run(coap_client, f"{server.uri}{second.location}", "-m", "delete") == b""
    assert server.registrations == ()
    for uri, code in (
        (f"{server.uri}/rd?lwm2m=9.9&ep=a", b"4.12 LwM2M 1.0, 1.1, 1.2 are spoken here"),
        (f"{server.uri}/rd?lwm2m=1.1", b"4.00 lwm2m= and ep= are expected"),
        (f"{server.uri}/rd/99?lt=9", b"4.04 "),
    ):
        assert run(coap_client, uri, "-m", "post", *links).startswith(code)
    assert run(coap_client, f"{rd}", "-m", "post", "-t", "0", "-e", "x").startswith(b"4.15 link format (40)")
    assert run(coap_client, rd, "-m", "post", "-O", "2051,x", *links).startswith(b"4.02 ")
