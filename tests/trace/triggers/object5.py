"""Triggers of the rules of Object 5 itself: transitions, answers out of turn, ranges."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"


def write(path: str, value: str, code: str = "2.04") -> str:
    """A Write of one value, and its answer."""
    return f"server > device CON PUT {path} cf=0 text={value}\ndevice > server ACK {code}\n"


#: A block 0 that is refused, another one, and the notifications of the first process after the second has begun.
LATE = """
ready
server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
device > server  ACK 4.13 1:0/1/512
server > device  CON PUT /5/0/0 1:0/1/512 cf=42 512B
notify /5/0/3 1
notify /5/0/3 0
notify /5/0/5 2
notify /5/0/5 0
notify /5/0/5 2
notify /5/0/3 1
notify /5/0/3 0
"""

TRIGGERS = {
    "O5": Trigger(
        "State 3 without an Execute, where no automatic update exists",
        "ready\npush\nnotify /5/0/3 2\nnotify /5/0/3 3",
        quiet=(
            HEALTHY,
            LATE,
            # A reset that nobody looked at lies between the last State seen and the next push.
            "ready\npush\nnotify /5/0/3 2\n" + write("/5/0/1", "''") + "push 0\nnotify /5/0/3 1",
        ),
    ),
    "T25": Trigger(
        "a Cancel is accepted in State 3",
        "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nexecute /5/0/10\nread /5/0/3 3",
        quiet=(
            HEALTHY,
            "ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\nexecute /5/0/10 code=4.05",
            "ready\npush\nnotify /5/0/3 2\nexecute /5/0/10\nnotify /5/0/5 10",
        ),
    ),
    "T26": Trigger(
        "an Execute is accepted in Idle",
        "ready\nimage 2000 raw\npush final=4.13\nread /5/0/5 2\nread /5/0/3 0\nexecute",
        quiet=(HEALTHY, "ready\npush 0\nnotify /5/0/3 1\nexecute code=4.05"),
    ),
    "T27": Trigger(
        "a package is taken over the one at hand",
        "ready\npush\nnotify /5/0/3 2\npush",
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(
            HEALTHY,
            "ready\npush\nnotify /5/0/3 2\nserver > device CON PUT /5/0/0 1:0/1/1024 cf=42 1024B\n"
            "device > server ACK 4.05",
            "ready\npush\nnotify /5/0/3 2\n" + write("/5/0/1", "''") + "push",
        ),
    ),
    "T28": Trigger(
        "a Cancel is accepted after success",
        "ready\npush\ninstalled\nexecute /5/0/10",
        quiet=(
            HEALTHY,
            "ready\npush\ninstalled\nexecute /5/0/10 code=4.05",
            # Idle without success: no code is named (A7).
            "ready\npush final=4.13\nread /5/0/3 0\nread /5/0/5 2\nexecute /5/0/10",
        ),
    ),
    "R3": Trigger("State 4", "ready\npush\nread /5/0/3 4", quiet=(HEALTHY,)),
    "R5": Trigger(
        "Update Result 12, which is of another object",
        "ready\npush\nnotify /5/0/3 2\nnotify /5/0/5 12",
        quiet=(HEALTHY, "ready\npush\nnotify /5/0/3 2\nexecute /5/0/10\nnotify /5/0/5 10"),
    ),
    "R9": Trigger("Delivery Method 3", "ready\nread /5/0/9 3\npush", quiet=("ready\nread /5/0/9 2\npush\ninstalled",)),
    "R11": Trigger(
        "Severity 3 is taken",
        "ready\npush\nnotify /5/0/3 2\n" + write("/5/0/11", "3"),
        quiet=(
            "ready\npush\nnotify /5/0/3 2\n" + write("/5/0/11", "3", "4.00"),
            "ready\npush\nnotify /5/0/3 2\n" + write("/5/0/11", "2"),
        ),
    ),
    "R13": Trigger(
        "deferred, and a period of 0 allows none",
        "ready\n" + write("/5/0/13", "0") + "push\nnotify /5/0/3 2\nexecute\nnotify /5/0/5 11",
        quiet=("ready\n" + write("/5/0/13", "600") + "push\nnotify /5/0/3 2\nexecute\nnotify /5/0/5 11", HEALTHY),
    ),
    "A8": Trigger(
        "the result of the last update is still there in State 1",
        "register\nread /5/0/3 0\nread /5/0/5 5\npush 0\nread /5/0/3 1\nread /5/0/5 5",
        verdict="PASS",
        quiet=(HEALTHY,),
    ),
}
