"""Triggers of the rules about servers and repositories."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
PULL = "uri coap://192.0.2.3/fw.bin\npull /fw.bin"
#: Supported protocols in TLV: instance 0 is 0 (CoAP), instance 1 is 2 (HTTP).
PROTOCOLS = """
server > device  CON GET /5/0/8
device > server  ACK 2.05 cf=11542 hex=860841000041010{}
"""
LONG = "coap://192.0.2.3/" + "a" * 240

TRIGGERS = {
    "F1": Trigger(
        "State 0 is told, no Update Result comes, and nobody reads it",
        "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nnotify /5/0/3 0\nwait 100\nread /3/0/3 1.0.0",
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nnotify /5/0/3 0\nwait 100\nread /5/0/5 1",
            "ready\npush\nnotify /5/0/3 1\nread /5/0/3 2",
        ),
    ),
    "F2": Trigger(
        "the device registers again, and nobody asks for State or Update Result",
        "ready\npush\nnotify /5/0/3 2\nexecute\nwait 10\nregister\nread /3/0/3 2.1.0",
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # How it ended was told before; the device starts anew for another reason.
            "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/5 8\nnotify /5/0/3 2\nwait 50\nregister\n"
            "read /3/0/3 1.0.0",
        ),
    ),
    "F6": Trigger(
        "Execute in State 1, refused with 4.05",
        "ready\npush 0\nnotify /5/0/3 1\nexecute code=4.05",
        party="server",
        quiet=(HEALTHY, "ready\npush\nread /5/0/3 2\nexecute"),
    ),
    "F11": Trigger(
        "the repository answers 4.04 to the URI that was written",
        "ready\nuri coap://192.0.2.3/fw.bin\ndevice > repository CON GET /fw.bin\nrepository > device ACK 4.04",
        party="repository",
        quiet=(f"ready\n{PULL}\ninstalled",),
    ),
    "F12": Trigger(
        "Package URI is empty in State 2, and the server stops",
        f"ready\n{PULL}\nnotify /5/0/3 2\nread /5/0/1 ''",
        verdict="INCONCLUSIVE",
        party="server",
        certainty="suspected",
        quiet=(f"ready\n{PULL}\nnotify /5/0/3 2\nread /5/0/1 ''\ninstalled", f"ready\n{PULL}\ninstalled"),
    ),
    "F16": Trigger(
        "the same image again after a success",
        f"{HEALTHY}\nread /5/0/7 rel-77\npush\nnotify /5/0/3 2",
        party="server",
        certainty="suspected",
        quiet=(f"{HEALTHY}\nimage 3000 2.2.0\npush", "ready\npush\ninstalled 1.0.0 8 2\npush"),
    ),
    "F21": Trigger(
        "a device in queue mode is asked after 200 s of rest",
        "register b=UQ\npush\nread /5/0/3 2\nwait 200\nexecute code=none",
        party="server",
        certainty="suspected",
        quiet=(
            "register b=UQ\npush\nread /5/0/3 2\nwait 20\nexecute code=none",
            "register b=U\npush\nread /5/0/3 2\nwait 200\nexecute code=none",
        ),
    ),
    "F23": Trigger(
        "/5/0/4 is asked for", "ready\nread /5/0/4 - code=4.04\npush\ninstalled", party="server", quiet=(HEALTHY,)
    ),
    "F24": Trigger(
        "deferred, and the server begins again",
        "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/5 11\nimage 3000 2.2.0\npush final=4.05",
        party="server",
        certainty="suspected",
        quiet=(
            "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/5 11\nwait 600\nnotify /5/0/3 3",
            "ready\npush final=5.03\nread /5/0/3 0\nwait 60\npush\ninstalled",
            HEALTHY,
        ),
    ),
    "R1": Trigger(
        "a Package URI of 257 bytes", f"ready\nuri {LONG}", party="server", quiet=(f"ready\nuri {LONG[:-2]}",)
    ),
    "R8": Trigger(
        "https, 3, is written, and the list has 0 and 1",
        f"ready\n{PROTOCOLS.format(1)}\nuri https://192.0.2.3/fw.bin",
        party="server",
        quiet=(f"ready\n{PROTOCOLS.format(1)}\n{PULL}\ninstalled",),
    ),
    "T31": Trigger(
        "a push to a device that offers pull only",
        "ready\nread /5/0/9 0\npush final=4.05",
        party="server",
        quiet=("ready\nread /5/0/9 1\npush\ninstalled", f"ready\nread /5/0/9 2\n{PULL}\ninstalled"),
    ),
}
