"""Triggers of the rules of observation (RFC 7641)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"

TRIGGERS = {
    "N1": Trigger(
        "two notifications have one number",
        "ready\npush 0\nnotify /5/0/3 1 sequence=7\npush 1-2\nnotify /5/0/3 2 sequence=7",
        quiet=(
            HEALTHY,
            # The numbers go round.
            "ready\npush 0\nnotify /5/0/3 1 sequence=16777215\npush 1-2\nnotify /5/0/3 2 sequence=0",
            # The network has changed their order.
            "ready\npush 0\nnotify /5/0/3 2 sequence=8\nnotify /5/0/3 1 sequence=7\npush 1-2",
            # Long after, any number is new.
            "ready\npush\nnotify /5/0/3 2 sequence=9\nwait 200\nnotify /5/0/3 0 sequence=1",
        ),
    ),
    "N2": Trigger(
        "the server resets a notification, and another one follows",
        """
        ready
        push
        device > server  CON 2.05 for=/5/0/3 observe=5 cf=0 text=2
        server > device  RST
        +20 device > server  CON 2.05 for=/5/0/3 observe=6 cf=0 text=2
        server > device  RST
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push
            device > server  CON 2.05 for=/5/0/3 observe=5 cf=0 text=2
            server > device  RST
            read /5/0/3 2
            """,
            # Observed again with the same token.
            """
            ready
            server > device  CON GET /5/0/3 observe=0 token=cc
            device > server  ACK 2.05 observe=3 cf=0 text=0
            push
            device > server  CON 2.05 token=cc observe=5 cf=0 text=2
            server > device  RST
            server > device  CON GET /5/0/3 observe=0 token=cc
            device > server  ACK 2.05 observe=6 cf=0 text=2
            +20 device > server  CON 2.05 token=cc observe=7 cf=0 text=2
            server > device  ACK
            """,
        ),
    ),
    "N3": Trigger(
        "a notification with a token of nobody is reset",
        """
        ready
        push
        device > server  CON 2.05 token=dead observe=5 cf=0 text=2
        server > device  RST
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            # Before the capture begins somebody may have observed.
            """
            push
            device > server  CON 2.05 token=dead observe=5 cf=0 text=2
            server > device  RST
            """,
        ),
    ),
    "N4": Trigger(
        "2.05 without Observe to a GET with Observe 0",
        """
        register
        server > device  CON GET /5/0/3 observe=0
        device > server  ACK 2.05 cf=0 text=0
        push
        """,
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY, "register\nserver > device CON GET /5/0/3 observe=0\ndevice > server ACK 4.04\npush"),
    ),
}
