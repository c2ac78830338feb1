"""Bytes to values and back. Pure: no clock, no socket, no pandas.

`read_columns` turns a capture file into the columns of the message table, `stream_columns` does so part by part;
`coap.decode` reads one message.
"""

from lwm2m_lab.wire.columns import COLUMN_NAMES, Columns
from lwm2m_lab.wire.reading import read_columns, stream_columns

__all__ = ["COLUMN_NAMES", "Columns", "read_columns", "stream_columns"]
