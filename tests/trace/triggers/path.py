"""Triggers of the rules of the path below the messages."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"

TRIGGERS = {
    "M12": Trigger(
        "after ten minutes the device updates its registration from another port; Reads to the old one are lost",
        """
        ready
        push 0
        wait 600
        server > device  CON GET /5/0/3
        +2.5 server > device  again
        +5 server > device  again
        device:61234 > server  CON POST /rd/1
        server > device:61234  ACK 2.04
        read /5/0/3 1
        """,
        party="network",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # It registers from a new port after the installation: a boot, no NAT.
            "ready\npush\nnotify /5/0/3 2\nexecute\nwait 100\nregister\nread /5/0/3 0",
        ),
    ),
    "M13": Trigger(
        "a DTLS handshake between two blocks, and then block 0",
        """
        ready
        push 0-1
        +40 device > server:5684  HELLO
        push
        """,
        party="network",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # Before the first block.
            "ready\ndevice > server:5684 HELLO\npush\ninstalled",
            # The transfer goes on.
            "ready\npush 0-1\ndevice > server:5684 HELLO\npush 2\ninstalled",
        ),
    ),
    "M14": Trigger(
        "the device's host answers a block with port unreachable",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        device > server  ICMP port-unreachable
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            # It restarts for the installation.
            """
            ready
            push
            notify /5/0/3 2
            execute
            server > device  CON GET /5/0/3
            device > server  ICMP port-unreachable
            wait 10
            register
            read /5/0/3 0
            read /5/0/5 1
            """,
            # Somebody else's datagram.
            """
            ready
            push 0
            192.0.2.77:9 > 192.0.2.78:9  NON GET /x
            192.0.2.78:9 > 192.0.2.77:9  ICMP port-unreachable
            push 1-2
            """,
        ),
    ),
    "C7": Trigger(
        "a segment of the download comes again with another byte",
        """
        ready
        uri http://192.0.2.3:8080/fw.bin
        download /fw.bin changed=1
        notify /5/0/3 2
        """,
        party="network",
        certainty="suspected",
        quiet=(HEALTHY, "ready\nuri http://192.0.2.3:8080/fw.bin\ndownload /fw.bin\ninstalled"),
    ),
}
