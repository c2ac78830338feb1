"""tshark's view of a capture, in the words of the message table."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

from lwm2m_lab.wire import Columns, read_columns

FIELDS = [
    "frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport",
    "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.name", "coap.opt.uri_path", "coap.opt.uri_query",
    "coap.opt.observe", "coap.opt.block_number", "coap.opt.block_mflag", "coap.opt.block_size", "coap.opt.size1",
    "coap.opt.etag",
]  # fmt: skip


def tshark_rows(
    tshark: str, path: pathlib.Path, *, psk: str = "", keylog: pathlib.Path | None = None, port: int = 5700
) -> Iterator[dict[str, str]]:
    """One row for each CoAP message that tshark sees, with this key (hexadecimal) or key log of DTLS.

    CoAP is expected on its own port and on one more.
    """
    command = [
        tshark,
        "-r",
        str(path),
        "-Y",
        "coap && !icmp && !icmpv6",
        "-d",
        f"udp.port=={port},coap",
        "-T",
        "fields",
    ]
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


def assert_same(tshark: str, path: pathlib.Path, *, port: int = 5700) -> int:
    """Every message that tshark sees is a row of ours, with the same value in every column that it has; how many."""
    columns = read_columns(path, ports=(5683, port))
    theirs = [as_ours(row) for row in tshark_rows(tshark, path, port=port)]
    assert columns.rows == len(theirs), f"{columns.rows} messages, {len(theirs)} to tshark"
    for row, expected in enumerate(theirs):
        ours = our_row(columns, row, list(expected))
        wrong = {name: (ours[name], value) for name, value in expected.items() if ours[name] != value}
        assert wrong == {}, f"frame {expected['frame']}, ours and tshark's: {wrong}"
    return len(theirs)
