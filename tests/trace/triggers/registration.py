"""Triggers of the rules about registrations, declared versions and reboots."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
CANCELLED = "observe /5/0/3 0\nobserve /5/0/5 0\npush\nnotify /5/0/3 2\nexecute /5/0/10\nnotify /5/0/5 10"
#: Five copies and silence.
UNANSWERED = """
server > device CON GET /5/0/5
+2.5 server > device again
+5 server > device again
+10 server > device again
+20 server > device again
"""
#: The same Execute before and after the reboot, which keeps its port.
TWICE = """
server > device:50001 CON POST /5/0/2 mid=7 token=aa
+9 device:50001 > server CON POST /rd ?ep=dev-1&lwm2m=1.1&lt=300&b=U cf=40 text='</3/0>,</5>;ver=1.1,</5/0>'
server > device:50001 ACK 2.01
server > device:50001 CON POST /5/0/2 mid=7 token=aa
device:50001 > server ACK 2.04
"""

TRIGGERS = {
    "F17": Trigger(
        "/3/0/19 moves, and /3/0/3 does not",
        "ready\nread /3/0/19 7\npush\ninstalled 1.0.0\nread /3/0/19 8",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY, "ready\nread /3/0/19 7\npush\ninstalled\nread /3/0/19 8"),
    ),
    "F18": Trigger(
        "no registration after the Execute, and nobody answers",
        f"ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nwait 60\n{UNANSWERED}",
        certainty="suspected",
        quiet=(HEALTHY, "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3"),
    ),
    "F19": Trigger(
        "the Execute comes again after the reboot, and a second reboot follows",
        f"ready\npush\nnotify /5/0/3 2\n{TWICE}wait 9\nregister\nread /5/0/3 0\nread /5/0/5 1\nread /3/0/3 2.1.0",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
    "F22": Trigger(
        "Update Result 10 of an Object 5 declared as 1.0",
        f"register version=1.0 lwm2m=1.0\n{CANCELLED}",
        quiet=(f"register\n{CANCELLED}", HEALTHY),
    ),
    "G1": Trigger(
        "ver=3.0",
        "register version=3.0\npush",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY, "register version=1.2\npush"),
    ),
    "G2": Trigger(
        "lwm2m=9.9",
        "register lwm2m=9.9\npush",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY, "register lwm2m=1.2\npush"),
    ),
    "G3": Trigger(
        "the device speaks 400 s after its last Register, and its lifetime is 300 s",
        "ready\npush\nwait 400\nnotify /5/0/3 2",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY, "ready\npush\nwait 200\nnotify /5/0/3 2"),
    ),
    "G4": Trigger(
        "the Register after the reboot is refused",
        "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nwait 9\nregister code=4.03",
        party="server",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
}
