"""The message table against tshark's, field by field, on real captures."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from lwm2m_lab.wire import Columns, read_columns

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPTURES = ROOT.parent / "shared" / "captures"
FIELDS = [
    "frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport",
    "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.name", "coap.opt.uri_path", "coap.opt.uri_query",
    "coap.opt.observe", "coap.opt.block_number", "coap.opt.block_mflag", "coap.opt.block_size", "coap.opt.size1",
    "coap.opt.etag",
]  # fmt: skip


def clear_text_captures() -> list[pathlib.Path]:
    """Every capture beside the checkout that shows CoAP."""
    return sorted([*CAPTURES.glob("*/*.pcap"), *CAPTURES.glob("*/*.pcapng")]) if CAPTURES.exists() else []


def tshark_rows(
    tshark: str, path: pathlib.Path, *, psk: str = "", keylog: pathlib.Path | None = None
) -> Iterator[dict[str, str]]:
    """One row for each CoAP message that tshark sees, with this key (hexadecimal) or key log of DTLS."""
    command = [tshark, "-r", str(path), "-Y", "coap && !icmp && !icmpv6", "-d", "udp.port==5700,coap", "-T", "fields"]
    command += ["-E", "separator=/t", "-E", "aggregator=|", "-o", f"dtls.psk:{psk}"]
    command += ["-o", f"tls.keylog_file:{keylog or ''}"]
    command += ["-d", "udp.port==5684,dtls", "-d", "dtls.port==5684,coap"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        yield dict(zip(FIELDS, line.split("\t"), strict=True))


def as_ours(row: dict[str, str]) -> dict[str, object]:
    """A row of tshark's in the words of the message table; None where there is nothing."""
    names = row["coap.opt.name"].split("|")
    blocks = [name[-6:] for name in names if "Block1" in name or "Block2" in name]
    kinds = [("1" if "Block1" in name else "2") for name in names if "Block1" in name or "Block2" in name]
    ours: dict[str, object] = {
        "frame": int(row["frame.number"]),
        "src": _endpoint(row["ip.src"], row["ipv6.src"], row["udp.srcport"]),
        "dst": _endpoint(row["ip.dst"], row["ipv6.dst"], row["udp.dstport"]),
        "type": ("CON", "NON", "ACK", "RST")[int(row["coap.type"])],
        "code": "{}.{:02d}".format(*divmod(int(row["coap.code"]), 32)),
        "mid": int(row["coap.mid"]),
        "token": row["coap.token"].replace(":", "") or "",
        "uri_path": "/" + row["coap.opt.uri_path"].replace("|", "/") if row["coap.opt.uri_path"] else None,
        "uri_query": row["coap.opt.uri_query"].replace("|", "&") or None,
        "observe": int(row["coap.opt.observe"]) if row["coap.opt.observe"] else None,
        "size1": int(row["coap.opt.size1"]) if row["coap.opt.size1"] else None,
        "etag": row["coap.opt.etag"].replace(":", "") or None,
    }
    assert len(blocks) == len(kinds)
    for kind in ("1", "2"):
        at = kinds.index(kind) if kind in kinds else None
        for name, field in (("num", "block_number"), ("more", "block_mflag"), ("size", "block_size")):
            values = row[f"coap.opt.{field}"].split("|")
            value = None if at is None else int({"True": 1, "False": 0}.get(values[at], values[at]))
            ours[f"block{kind}_{name}"] = 16 << value if name == "size" and value is not None else value
    return ours


def _endpoint(four: str, six: str, port: str) -> str:
    return f"{four}:{port}" if four else f"[{six}]:{port}"


def our_row(columns: Columns, row: int, names: list[str]) -> dict[str, object]:
    """The same of ours."""
    ours: dict[str, object] = {}
    for name in names:
        if name in columns.categories:
            ours[name] = columns.text(name, row)
        else:
            value = int(columns[name][row])
            ours[name] = None if value < 0 else value
    return ours


@pytest.mark.parametrize("path", clear_text_captures(), ids=lambda path: path.name)
def test_the_message_table_is_tsharks(path: pathlib.Path, tshark: str) -> None:
    """Every message that tshark sees is a row, with the same value in every column that tshark has."""
    columns = read_columns(path)
    theirs = [as_ours(row) for row in tshark_rows(tshark, path)]
    assert columns.rows == len(theirs)
    for row, expected in enumerate(theirs):
        assert our_row(columns, row, list(expected)) == expected


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
