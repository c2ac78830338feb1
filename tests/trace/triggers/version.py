"""Triggers of the version rule."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
TRIGGERS = {
    "V1": Trigger("success, and another version runs", "ready\npush\ninstalled 2.0.9", quiet=(HEALTHY,)),
    "V2": Trigger(
        "a new version without a result",
        "ready\npush\ninstalled 2.1.0 0",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(HEALTHY,),
    ),
    "V3": Trigger(
        "the new version before the Execute",
        "ready\npush\nnotify /5/0/3 2\nread /3/0/3 2.1.0\ninstalled",
        quiet=(HEALTHY,),
    ),
    "V4": Trigger(
        "Update Result 8, and yet the version has moved", "ready\npush\ninstalled 2.1.0 8 2", quiet=(HEALTHY,)
    ),
    "V5": Trigger("/5/0/7 in Idle", "ready\npush 0\nnotify /5/0/3 1\nread /5/0/7 9", verdict="PASS", quiet=(HEALTHY,)),
    "V6": Trigger(
        "/5/0/7 is another than /3/0/3",
        "ready\npush\ninstalled\nread /5/0/7 package-9",
        verdict="PASS",
        quiet=(HEALTHY,),
    ),
    "V7": Trigger(
        "there is no /3/0/3",
        "register\nobserve /5/0/3 0\nobserve /5/0/5 0\nread /3/0/3 - code=4.04\npush\ninstalled unread",
        verdict="PASS",
        quiet=(HEALTHY,),
    ),
    "F15": Trigger(
        "success, the old version, and an image that carries another",
        "ready\npush\ninstalled 1.0.0",
        quiet=(
            HEALTHY,
            "ready\nimage 3000 1.0.0\npush\ninstalled 1.0.0",
            # It was read before the Execute, and not since: that says nothing of what runs now.
            "ready\npush\nread /3/0/3 1.0.0\nexecute\nwait 10\nregister\nread /5/0/3 0\nread /5/0/5 1",
        ),
    ),
}
