"""Bytes to values and back. Pure: no clock, no socket, no pandas.

`read_columns` turns a capture file into the columns of the message table; `coap.decode` reads one message.
"""

from lwm2m_lab.wire.columns import COLUMN_NAMES, Columns, read_columns

__all__ = ["COLUMN_NAMES", "Columns", "read_columns"]
