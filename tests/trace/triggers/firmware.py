"""Triggers of the rules of Object 5."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
TRIGGERS = {
    "O5": Trigger(
        "State 3 without an Execute, where no automatic update exists",
        "ready\npush\nnotify /5/0/3 2\nnotify /5/0/3 3",
        quiet=(HEALTHY,),
    ),
    "T26": Trigger(
        "an Execute is accepted in Idle",
        "ready\nimage 2000 raw\npush final=4.13\nread /5/0/5 2\nread /5/0/3 0\nexecute",
        quiet=(HEALTHY, "ready\npush 0\nnotify /5/0/3 1\nexecute code=4.05"),
    ),
    "F1": Trigger(
        "State was last told as 1 and is read as 2",
        "ready\npush\nnotify /5/0/3 1\nread /5/0/3 2",
        verdict="PASS",
        party="server",
        quiet=(HEALTHY,),
    ),
    "F2": Trigger(
        "the device registers again, and nobody asks for State or Update Result",
        "ready\npush\nnotify /5/0/3 2\nexecute\nwait 10\nregister\nread /3/0/3 2.1.0",
        party="server",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
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
    "F10": Trigger(
        "the path of the GET is the beginning of the one written",
        "ready\nuri coap://192.0.2.3/images/fw.bin\n"
        "device > repository CON GET /images 2:0/0/1024\nrepository > device ACK 4.04",
        quiet=("ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin\ninstalled",),
    ),
    "F11": Trigger(
        "the repository answers 4.04 to the URI that was written",
        "ready\nuri coap://192.0.2.3/fw.bin\ndevice > repository CON GET /fw.bin\nrepository > device ACK 4.04",
        party="repository",
        quiet=("ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin\ninstalled",),
    ),
    "F22": Trigger(
        "Update Result 10 of an Object 5 declared as 1.0",
        """
        register version=1.0 lwm2m=1.0
        observe /5/0/3 0
        observe /5/0/5 0
        push
        notify /5/0/3 2
        execute /5/0/10
        notify /5/0/5 10
        """,
        quiet=("ready\npush\nnotify /5/0/3 2\nexecute /5/0/10\nnotify /5/0/5 10", HEALTHY),
    ),
}
