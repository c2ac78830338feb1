"""The keys of opened sessions, put into a capture so that whoever has it can read it: these sessions and no others."""

from __future__ import annotations

import pathlib
import struct
import subprocess

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.capture import read
from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes, with_key_log
from tests.trace.test_samples import KEY

LINE = f"CLIENT_RANDOM {bytes(32).hex()} {bytes(48).hex()}"


def test_the_block_stands_before_the_packets() -> None:
    """In the byte order of the file; without keys the file stays as it is."""
    data = pcapng_bytes([Packet(0, b"E")], interfaces=[Interface("x")])
    assert with_key_log(data, []) == data
    (section,) = struct.unpack_from("<I", data, 4)
    kept = with_key_log(data, [LINE])
    assert kept[:section] == data[:section]
    assert struct.unpack_from("<I", kept, section) == (10,)
    assert LINE.encode() in kept
    assert kept.endswith(data[section:])
    assert read_columns(kept).packets == 1
    big = struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    assert struct.unpack_from(">II", with_key_log(big, ["12345 7"]), 28) == (10, 28)


def test_a_pcap_has_no_place_for_keys() -> None:
    """It is said, and the file stays as it is."""
    with pytest.raises(BadInput, match="no place for keys; a pcapng file is expected"):
        with_key_log(b"\xd4\xc3\xb2\xa1" + bytes(20), [LINE])


def test_what_was_opened_opens_again(tmp_path: pathlib.Path, tshark: str) -> None:
    """By the lab and by tshark, without the pre-shared key, which is not in the file."""
    opened = read("coaps-pull-rest", psk=KEY)
    path = tmp_path / "with-keys.pcapng"
    opened.save(path, session_keys=True)
    again = read(path)
    assert len(again.messages) == len(opened.messages) > 0
    assert again.columns.key_log == opened.columns.key_log != ()
    (key,) = KEY.values()
    assert not any(form in path.read_bytes() for form in (bytes.fromhex(key), key.encode()))
    assert not any(line.split()[2] in f"{again!r}{again}{again._repr_html_()}" for line in again.columns.key_log)
    by_session_keys = seen_by(tshark, str(path))
    opened.save(path)
    assert seen_by(tshark, str(path)) == []
    by_key = seen_by(tshark, str(path), "-o", f"dtls.psk:{key}")
    # tshark takes no key log for a handshake in a conversation that began with records of a session it had not seen.
    (first, *_) = opened.columns.sessions
    assert by_session_keys == [frame for frame in by_key if int(frame) <= first.last_frame] != []


def seen_by(tshark: str, path: str, *key: str) -> list[str]:
    """Frames in which tshark finds CoAP within DTLS."""
    ports = ("-d", "udp.port==5684,dtls", "-d", "dtls.port==5684,coap")
    command = [tshark, "-r", path, *key, *ports, "-Y", "dtls.app_data && coap", "-T", "fields", "-e", "frame.number"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_without_the_key_nothing_is_put_in(tmp_path: pathlib.Path) -> None:
    """A capture that stayed closed is saved as it is."""
    closed = read("coaps-pull-rest")
    for name, keys in (("a", False), ("b", True)):
        closed.save(tmp_path / name, session_keys=keys)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
