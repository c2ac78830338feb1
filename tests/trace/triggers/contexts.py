"""Triggers of the rules of what is remembered between blocks (RFC 7959, 2.4 and 2.5)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
PULLED = f"{URI}pull /fw.bin etag=aa\ninstalled"

TRIGGERS = {
    "W11": Trigger(
        "the repository's file changes in mid-download, and the device says Downloaded",
        URI + "pull /fw.bin 0-1 etag=aa\npull /fw.bin 2 etag=bb\nnotify /5/0/3 2",
        quiet=(
            PULLED,
            # The device sees it and begins again.
            URI + "pull /fw.bin 0-1 etag=aa\npull /fw.bin 2 etag=bb\npull /fw.bin etag=bb\ninstalled",
        ),
    ),
    "W12": Trigger(
        "after a break of ten minutes the download goes on in another version",
        URI + "pull /fw.bin 0-1 etag=aa\nwait 600\npull /fw.bin 2 etag=bb\nnotify /5/0/3 2",
        quiet=(
            PULLED,
            URI + "pull /fw.bin 0-1 etag=aa\nwait 600\npull /fw.bin 2 etag=aa\ninstalled",
            URI + "pull /fw.bin 0-1 etag=aa\nwait 600\npull /fw.bin 2 etag=bb\npull /fw.bin etag=bb\ninstalled",
        ),
    ),
    "W14": Trigger(
        "a second push begins before the first has ended, and their blocks alternate",
        """
        ready
        push 0 size=512
        push 1 size=512
        push 0 size=512
        push 2 size=512
        push 1 size=512
        """,
        party="server",
        quiet=(
            HEALTHY,
            # The first was given up.
            "ready\npush 0-2 size=512\npush size=512\ninstalled",
            # Another resource in between, and both are taken.
            """
            ready
            push 0
            server > device  CON PUT /9/0/2 1:0/1/64 cf=42 64B
            device > server  ACK 2.31 1:0/1/64
            push 1-2
            installed
            """,
        ),
    ),
    "M3": Trigger(
        "block 0 was sent twice, the image is whole, and Update Result is 5",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        +2.5 server > device  again
        device > server  ACK 2.31 1:0/1/1024
        push 1-2
        notify /5/0/5 5
        notify /5/0/3 0
        push
        notify /5/0/3 2
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            "ready\npush\nnotify /5/0/5 5\nnotify /5/0/3 0",
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            +2.5 server > device  again
            device > server  ACK 2.31 1:0/1/1024
            push 1-2
            installed
            """,
        ),
    ),
    "M4": Trigger(
        "a new push begins at block 0, and 4.08 is the answer",
        """
        ready
        push 0-1
        +60 server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 4.08 1:0/1/1024
        """,
        quiet=(
            HEALTHY,
            "ready\npush 0-1\nwait 60\npush\ninstalled",
            # Nothing is answered any more: that is no matter of contexts.
            """
            ready
            push 0-1
            +60 server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            +2.5 server > device  again
            +5 server > device  again
            """,
        ),
    ),
}
