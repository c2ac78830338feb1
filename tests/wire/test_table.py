"""The message table as CSV: what a spreadsheet, pandas and a terminal may safely be given."""

from __future__ import annotations

import csv
import io

from lwm2m_lab.wire import read_columns, table
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

ENDS = (("192.0.2.2", 50000), ("192.0.2.1", 5683))


def rows(*messages: Message) -> list[dict[str, str]]:
    """The CSV of some messages, read back."""
    packets = [Packet(10**9 + at, udp_packet(*ENDS, encode(message))) for at, message in enumerate(messages)]
    out = io.StringIO()
    table.write_csv(read_columns(pcapng_bytes(packets, interfaces=[Interface()])), out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_a_row_is_a_message() -> None:
    """Nine decimals of time, text as text, empty where there is nothing."""
    (row,) = rows(Message("CON", "0.03", 7, b"\xab", ((11, b"5"), (11, b"0"), (11, b"0"), (27, b"\x1e")), b"abc"))
    assert row["time"] == "1.000000000"
    assert (row["type"], row["code"], row["token"], row["uri_path"]) == ("CON", "0.03", "ab", "/5/0/0")
    assert (row["block1_num"], row["block1_more"], row["block1_size"]) == ("1", "1", "1024")
    assert (row["block2_num"], row["observe"], row["error"]) == ("", "", "")


def test_formulas_and_escapes_are_defused() -> None:
    """A query that a spreadsheet would run, and a path that a terminal would obey."""
    (row,) = rows(Message("CON", "0.01", 7, b"", ((11, b"\x1b[2J"), (15, b"=cmd()"))))
    assert row["uri_query"] == "'=cmd()"
    assert row["uri_path"] == "/\\x1b[2J"


def test_large_tables_go_in_pieces(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The seams between pieces do not show."""
    messages = [Message("CON", "0.01", mid) for mid in range(10)]
    whole = rows(*messages)
    monkeypatch.setattr(table, "ROWS_AT_A_TIME", 3)
    assert rows(*messages) == whole
    assert [int(row["mid"]) for row in whole] == list(range(10))
