"""Triggers of the rules about devices in an update: the catalogue of failures from the field."""

from __future__ import annotations

from tests.trace.triggers.object5 import LATE
from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
PULL = "uri coap://192.0.2.3/fw.bin\npull /fw.bin"
#: Supported protocols in TLV: instance 0 is 0 (CoAP), instance 1 is 1 (CoAPS).
PROTOCOLS = "server > device CON GET /5/0/8\ndevice > server ACK 2.05 cf=11542 hex=8608410000410101\n"
EMPTY_URI = "server > device CON PUT /5/0/1 cf=0 text=''\ndevice > server ACK 2.04\n"
GET_CUT = "device > repository CON GET /images 2:0/0/1024\nrepository > device ACK 4.04"
#: 1196 bytes in TLV, called opaque.
WRAPPED = """
server > device CON PUT /5/0/0 1:0/1/1024 cf=42 hex=d00004a8{}
device > server ACK 2.31 1:0/1/1024
server > device CON PUT /5/0/0 1:1/0/1024 cf=42 172B
device > server ACK 2.04 1:1/0/1024
""".format("5a" * 1020)

TRIGGERS = {
    "F3": Trigger(
        "State 0 and Update Result 0 after the reboot",
        "ready\npush\ninstalled 2.1.0 0",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
    "F4": Trigger(
        "Update Result 1 in State 2, before the Execute",
        "ready\npush\nnotify /5/0/3 2\nnotify /5/0/5 1\nexecute",
        quiet=(HEALTHY,),
    ),
    "F5": Trigger(
        "the Execute is accepted, and nothing follows",
        "ready\npush\nnotify /5/0/3 2\nexecute\nread /5/0/3 2",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
    "F25": Trigger(
        "the package is taken, and State and Update Result stay 0",
        "ready\npush\n+5 server > device  CON GET /5/0/3\ndevice > server  ACK 2.05 cf=0 text=0\nread /5/0/5 0",
        certainty="suspected",
        quiet=(
            HEALTHY,
            "ready\npush\nread /5/0/3 0\nread /5/0/5 5",
            "ready\npush\nread /5/0/3 0",
            # It was reset, and it started anew.
            f"ready\npush\n{EMPTY_URI}read /5/0/3 0\nread /5/0/5 0",
            "ready\npush\nregister\nread /5/0/3 0\nread /5/0/5 0",
        ),
    ),
    "F7": Trigger("Update Result 8 with State 2", "ready\npush\ninstalled 1.0.0 8 2", verdict="PASS", quiet=(HEALTHY,)),
    "F8": Trigger(
        "Update Result 5 becomes 0 by itself",
        "ready\npush\nnotify /5/0/5 5\nread /5/0/3 0\nread /5/0/5 0",
        quiet=(
            LATE,
            HEALTHY,
            "ready\npush\nnotify /5/0/5 5\nread /5/0/3 0\nread /5/0/5 5",
            f"ready\npush\nnotify /5/0/5 5\nread /5/0/3 0\n{EMPTY_URI}read /5/0/5 0",
        ),
    ),
    "F9": Trigger(
        "an empty Package URI begins a download",
        f"ready\n{EMPTY_URI}notify /5/0/3 1\nread /5/0/5 0\npush",
        quiet=(f"ready\n{EMPTY_URI}read /5/0/3 0\npush\ninstalled", HEALTHY),
    ),
    "F10": Trigger(
        "the path of the GET is the beginning of the one written",
        f"ready\nuri coap://192.0.2.3/images/fw.bin\n{GET_CUT}",
        quiet=(f"ready\n{PULL}\ninstalled", "ready\nuri coap://192.0.2.3/images\n" + GET_CUT),
    ),
    "F13": Trigger(
        "Update Result 9 for coaps, which is in the list",
        f"ready\n{PROTOCOLS}uri coaps://192.0.2.3/fw.bin\nnotify /5/0/5 9\nread /5/0/3 0",
        certainty="suspected",
        quiet=(f"ready\n{PROTOCOLS}uri https://192.0.2.3/fw.bin\nnotify /5/0/5 9\nread /5/0/3 0", HEALTHY),
    ),
    "F14": Trigger(
        "a TLV header around the image, called opaque",
        f"ready\n{WRAPPED}",
        party="server",
        quiet=(HEALTHY,),
    ),
    "F20": Trigger(
        "State begins at 1 and is 3 before the Execute",
        "register\nread /5/0/3 1\nread /5/0/5 0\npush 0\nread /5/0/3 2\npush 1-2\nread /5/0/3 3\nexecute",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
}
