"""The repository over HTTP: parts, preconditions, refusals; and over CoAP what a GET with an ETag is told."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import aiocoap
import pytest
from aiocoap.numbers.codes import Code
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.web_repository import WebRepository, part_of

BODY = bytes(range(256)) * 400
PATH = "/fw/a.bin"


@pytest.fixture(scope="module")
def web() -> Iterator[WebRepository]:
    """A repository with one file."""
    with WebRepository({PATH: BODY, "/fw/with space": b"x"}) as one:
        yield one


def asked(
    web: WebRepository, path: str = PATH, method: str = "GET", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers."""
    connection = http.client.HTTPConnection(web.uri.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.headers)
    finally:
        connection.close()


def test_a_file_and_its_parts(web: WebRepository) -> None:
    """200 with all of it, 206 with a part, 416 beyond its end; HEAD says the same without a body."""
    status, body, headers = asked(web)
    assert (status, body, headers["Accept-Ranges"]) == (200, BODY, "bytes")
    assert asked(web, method="HEAD")[1:2] == (b"",)
    status, body, headers = asked(web, Range="bytes=100-199")
    assert (status, body, headers["Content-Range"]) == (206, BODY[100:200], f"bytes 100-199/{len(BODY)}")
    assert asked(web, Range="bytes=102300-")[:2] == (206, BODY[102300:])
    assert asked(web, Range="bytes=-7")[:2] == (206, BODY[-7:])
    status, body, headers = asked(web, Range=f"bytes={len(BODY)}-")
    assert (status, body, headers["Content-Range"]) == (416, b"", f"bytes */{len(BODY)}")
    assert asked(web, Range="lines=1-2")[:2] == (200, BODY)
    assert asked(web, "/fw/with%20space")[:2] == (200, b"x")


def test_preconditions(web: WebRepository) -> None:
    """412 to another version that is wanted, 304 to one that is known, all of it where a part is of another one."""
    etag = asked(web)[2]["ETag"]
    assert asked(web, If_Match=etag)[0] == 200
    assert asked(web, If_Match='"other"')[0] == 412
    assert asked(web, If_None_Match=f'"other", {etag}')[:2] == (304, b"")
    assert asked(web, If_None_Match='"other"')[0] == 200
    assert asked(web, Range="bytes=10-", If_Range=etag)[0] == 206
    assert asked(web, Range="bytes=10-", If_Range='"other"')[:2] == (200, BODY)
    assert asked(web, Range="bytes=10-", If_Match=etag)[:2] == (206, BODY[10:])


def test_what_is_refused(web: WebRepository) -> None:
    """Nothing there, no such method, nonsense; and it goes on serving."""
    assert asked(web, "/fw/../../etc/passwd")[0] == 404
    assert asked(web, method="DELETE")[0] == 501
    host, _, port = web.uri.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in peer.recv(1000)
    assert asked(web)[0] == 200


@given(text=st.text(max_size=30) | st.from_regex(r"bytes=\d{0,6}-\d{0,6}", fullmatch=True), size=st.integers(0, 1000))
def test_a_part_lies_within(text: str, size: int) -> None:
    """Whatever is asked for."""
    part = part_of(text, size)
    assert part is None or 0 <= part[0] <= part[1] <= size


def get(repository: Repository, **options: object) -> aiocoap.Message:
    """A GET by CoAP."""
    message = aiocoap.Message(code=Code.GET, uri_path=("fw", "a.bin"))
    for name, value in options.items():
        setattr(message.opt, name, value)
    return repository.answer(message)


def test_by_coap() -> None:
    """Size2 and ETag on the first block; 2.03 to who has this version; 4.02 and 4.06 to what is not to be had."""
    repository = Repository({PATH: BODY}, block_size=512)
    first = get(repository)
    assert (first.code, first.opt.size2, len(first.payload)) == (Code.CONTENT, len(BODY), 512)
    assert get(repository, etags=[first.opt.etag]).code == Code.VALID
    later = get(repository, etags=[first.opt.etag], block2=(3, False, 5))
    assert (later.code, later.payload) == (Code.CONTENT, BODY[1536:2048])
    assert get(repository, accept=50).code == Code.NOT_ACCEPTABLE
    assert get(repository, if_none_match=True).code == Code.BAD_OPTION
    assert get(repository, block2=(10**5, False, 5)).code == Code.BAD_REQUEST
    repository.put({PATH: BODY[:-1]})
    assert get(repository).opt.etag != first.opt.etag
