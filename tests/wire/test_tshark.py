"""The message table against tshark's, field by field, on real captures."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest

from lwm2m_lab.wire import read_columns
from tests.tshark import as_ours, assert_same, our_row, tshark_rows

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPTURES = ROOT.parent / "shared" / "captures"


def clear_text_captures() -> list[pathlib.Path]:
    """Every capture beside the checkout that shows CoAP."""
    return sorted([*CAPTURES.glob("*/*.pcap"), *CAPTURES.glob("*/*.pcapng")]) if CAPTURES.exists() else []


@pytest.mark.parametrize("path", clear_text_captures(), ids=lambda path: path.name)
def test_the_message_table_is_tsharks(path: pathlib.Path, tshark: str) -> None:
    """Every message that tshark sees is a row, with the same value in every column that tshark has."""
    assert_same(tshark, path)


@pytest.mark.parametrize("name", ["anjay-dtls-psk-push-ok.pcap", "anjay-dtls-psk-cid-push-ok.pcap"])
def test_the_decrypted_table_is_tsharks(
    name: str, shared: pathlib.Path, tshark: str, editcap: str, tmp_path: pathlib.Path
) -> None:
    """With the same key every message is the same, without and with a Connection ID.

    tshark takes a Connection ID that comes again in a second session for the first one's, so it gets one at a time.
    """
    entries = json.loads((shared / "captures" / "MANIFEST.json").read_text())["captures"]
    (dtls,) = [entry["dtls"] for entry in entries if entry["file"].endswith("/" + name)]
    path, part = shared / "captures" / "anjay" / name, tmp_path / "session.pcap"
    columns = read_columns(path, psk={dtls["psk_identity"]: dtls["psk_hex"]})
    theirs = []
    for session in columns.sessions:
        frames = f"{session.first_frame}-{session.last_frame}"
        subprocess.run([editcap, "-r", str(path), str(part), frames], check=True)
        for row in tshark_rows(tshark, part, psk=dtls["psk_hex"]):
            theirs.append({**as_ours(row), "frame": int(row["frame.number"]) + session.first_frame - 1})
    assert columns.rows == len(theirs) > 60
    assert (columns.encrypted_records, columns.notes) == (0, ())
    for row, expected in enumerate(theirs):
        assert our_row(columns, row, list(expected)) == expected


def test_there_are_captures_to_compare(shared: pathlib.Path) -> None:
    """The parametrised test above is not empty where the captures are."""
    named = [entry["file"] for entry in json.loads((shared / "captures" / "MANIFEST.json").read_text())["captures"]]
    assert {path.name for path in clear_text_captures()} >= {pathlib.Path(name).name for name in named}


@pytest.mark.parametrize("path", clear_text_captures(), ids=lambda path: path.name)
def test_payload_and_size2_are_aiocoaps(path: pathlib.Path) -> None:
    """Size2 and the payload length, for which tshark has no usable field, are those of aiocoap's decoder."""
    import aiocoap

    columns = read_columns(path)
    for row in range(columns.rows):
        message = aiocoap.Message.decode(columns.datagram(row))
        assert columns.payload(row) == message.payload
        assert int(columns["payload_length"][row]) == len(message.payload)
        assert int(columns["size2"][row]) == (-1 if message.opt.size2 is None else message.opt.size2)
        content_format = message.opt.content_format
        assert int(columns["content_format"][row]) == (-1 if content_format is None else int(content_format))
        assert int(columns["accept"][row]) == (-1 if message.opt.accept is None else int(message.opt.accept))
