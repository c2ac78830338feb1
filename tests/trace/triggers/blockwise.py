"""Triggers of the rules of block-wise transfer (RFC 7959)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

TRIGGERS = {
    "W6": Trigger(
        "a block says 1024 bytes and carries 1000",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1000B
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=("ready\npush\ninstalled",),
    ),
    "W7": Trigger(
        "block 1 is nowhere, and the last block is answered 2.04",
        "ready\npush 0\npush 2",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=("ready\npush\ninstalled", "ready\npush 0\npush 2 final=4.08"),
    ),
    "W11": Trigger(
        "the repository's file changes in mid-download, and the device says Downloaded",
        """
        ready
        uri coap://192.0.2.3/fw.bin
        pull /fw.bin 0-1 etag=aa
        pull /fw.bin 2 etag=bb
        notify /5/0/3 2
        """,
        quiet=(
            """
            ready
            uri coap://192.0.2.3/fw.bin
            pull /fw.bin 0-2 etag=aa
            installed
            """,
        ),
    ),
}
