"""The failure modes of the message layer (M1 to M15) as real stacks show them, each beside what only looks like it."""

from __future__ import annotations

import pytest

from tests.trace.modes import ALIVE, URI, Mode, again, asked, block, conclusions, put, taken

LONG = "image 60000 raw\nready\n"
#: A try that ends behind block 10, so many seconds after block 0 was sent, and what comes after it.
TRY = "push 0-9\nwait {0}\npush 10\nwait 200\nread /5/0/3 1\n"
NEW = put(0, 1, 1024, "mid=500 token=e0")
ONE, OTHER = put(1, 1, 1024, "token=aa"), put(1, 1, 1024, "token=ab")
RECEIVED = "device > server ACK\n"
SMALL = "push 1-11 size=256\ninstalled"
SEPARATE = "ready\npush\nnotify /5/0/3 2\nserver > device CON GET /3/0/3 token=ee\ndevice > server ACK\n"
NUMBERED = "+{0} device > server {1} 2.05 for=/5/0/3 observe={2} cf=0 text=2 mid=44\n"

MODES = {
    # ---------------------------------------------------------------- M1: the server stops in the middle of a push
    "M1: each of three tries ends after 46 s, which is no round time": Mode(
        LONG + TRY.format(45) * 3,
        "M1 server suspected",
        says="as in 2 other tries after 46.0 s and 46.0 s: a time-out of about 46.0 s for the whole body",
    ),
    "M1: two tries of different lengths": Mode(LONG + TRY.format(45) + TRY.format(73), "", "M1"),
    "M1: 60 s, in NON, and the device is heard all the time": Mode(
        LONG
        + "".join(
            f"{put(num, kind='NON')}{taken(num, kind='NON')}+1.9 device > server CON POST /rd/1\n"
            "server > device ACK 2.04\n"
            for num in range(29)
        )
        + "wait 200\nread /5/0/3 1",
        "M1 server suspected",
        says="a time-out of 60 s",
    ),
    "M1: it sent more, as its message ids tell, and the path lost them": Mode(
        f"{LONG}push 0-9\nwait 118\npush 10\n{put(11, 1, 1024, 'lost')}wait 100\nread /5/0/3 1",
        "",
        "M1",
        "yet it went on: by its message id in frame 31 it sent 1 more between the two",
    ),
    "M1: the server gives the update up, and says so": Mode(
        LONG + "push 0-9\nwait 59\nserver > device CON PUT /5/0/0 cf=42\ndevice > server ACK 2.04\n"
        "wait 100\nread /5/0/3 0"
    ),
    "M1: it goes on after a pause": Mode(LONG + "push 0-9\nwait 118\npush 10\nwait 100\npush 11-60\ninstalled"),
    # ---------------------------------------------------------------- M3: a copy is written twice
    "M3: the block comes again under a new message id, and Update Result is 5": Mode(
        f"ready\n{put(0, 1, 1024, 'token=aa')}{taken(0)}+60 {put(0, 1, 1024, 'token=aa')}{taken(0)}"
        "push 1-2\nnotify /5/0/5 5\nnotify /5/0/3 0",
        "",
        "M3",
        "was sent again under a new message id, and the device reports Update Result 5",
    ),
    "M3: a block is asked for twice, and Update Result is 5": Mode(
        f"{URI}{asked(0)}{again('device > repository', (2.5,))}{block(0)}pull /fw.bin 1-2\nnotify /5/0/5 5",
        "",
        "M3",
        "was asked for 2 times",
    ),
    "M3: the network doubles each message": Mode(
        f"ready\n{put(0)}server > device again\n{taken(0)}device > server again\npush 1-2\ninstalled"
    ),
    # ---------------------------------------------------------------- M4: an old body stands in the way
    "M4: a new block 0 is not answered, and the device is heard behind two of its copies": Mode(
        f"ready\npush 0-1\n+60 {NEW}+2.5 {NEW}+1 {ALIVE}+3 {NEW}+1 {ALIVE}+9 {NEW}+20 {NEW}",
        "M0 network suspected, M4 device suspected",
        "W13",
        "was sent 5 times and never answered, while the device is heard",
    ),
    "M4: it is heard right behind the last copy": Mode(
        f"ready\npush 0-1\n+60 {put(0)}{again()}{ALIVE}read /5/0/3 1",
        "M0 network suspected",
        "M4, W13",
        "the path may have lost the others",
    ),
    "M4: the device is off, and registers anew": Mode(
        f"ready\npush 0-1\n+60 {put(0)}{again()}register\nread /5/0/3 0",
        "M0 network suspected",
        "M12, W13",
    ),
    "M4: a new block 0 is acknowledged, and never answered": Mode(
        f"ready\npush 0-1\n+60 {put(0)}device > server ACK\n+120 {ALIVE}",
        "M4 device suspected",
        "M15, W13",
        "got an empty message in frame 14, and no answer in 120.1 s",
    ),
    "M4: the image after the one that was taken is not answered": Mode(
        f"ready\npush\nnotify /5/0/3 2\n+60 {NEW}+2.5 {NEW}+1 {ALIVE}+3 {NEW}+1 {ALIVE}+9 {NEW}+20 {NEW}",
        "M0 network suspected, M4 device suspected",
    ),
    "M4: 4.08 in NON, in another size": Mode(
        f"ready\npush 0-2 size=512\n+60 {put(0, 1, 256, kind='NON')}{taken(0, 1, 256, code='4.08', kind='NON')}",
        "M4 device proved",
    ),
    "M4: 5.03, whatever for": Mode(f"ready\npush 0-1\n+60 {put(0)}{taken(0, code='5.03')}", "", "W13"),
    # ---------------------------------------------------------------- M5: the first block is slow
    "M5: it drops the copies that come while it erases, and answers once": Mode(
        f"ready\n{put(0, 1, 256)}{again(gaps=(2.5, 5))}+4 {taken(0, 1, 256)}{SMALL}", "M5 device suspected"
    ),
    "M5: it acknowledges at once, and answers when it has erased": Mode(
        f"ready\n{put(0, 1, 256)}device > server ACK\n+8 {taken(0, 1, 256, kind='CON')}server > device ACK\n{SMALL}"
    ),
    "M5: the last block is slow: the image is verified": Mode(
        f"ready\npush 0-10 size=256\n{put(11, 0, 256, length=184)}+9 {taken(11, 0, 256, code='2.04')}installed"
    ),
    # ---------------------------------------------------------------- M7: copies without back-off
    "M7: it stops after two copies, each after 2 s": Mode(
        "ready\n" + "".join(f"{put(num)}{again(gaps=(2, 2))}{taken(num)}" for num in range(5)), "M7 server proved"
    ),
    "M7: the gaps grow by one half each": Mode(
        f"ready\npush 0\n{put(1)}{again(gaps=(2, 3, 4.5, 6.75))}{taken(1)}push 2\ninstalled"
    ),
    # ---------------------------------------------------------------- M8: a repeated answer
    "M8: the repeated answer brings the same block again, under a new message id": Mode(
        URI
        + asked(0, 1024, "mid=300 token=c0")
        + block(0)
        + asked(1, 1024, "mid=301 token=c1")
        + block(0, 1, 1024, "mid=300 token=c0")
        + asked(1, 1024, "mid=302 token=c2")
        + block(1, 1, 1024, "mid=301 token=c1")
        + block(1, 1, 1024, "mid=302 token=c2")
        + "pull /fw.bin 2\ninstalled",
        "M8 device proved",
        says="block 1 was asked for in frame 13 and block 1 again in frame 15",
    ),
    "M8: and the block that comes too early is refused": Mode(
        "ready\n"
        + put(0, 1, 512, "mid=200 token=b0")
        + taken(0, 1, 512)
        + put(1, 1, 512, "mid=201 token=b1")
        + taken(0, 1, 512, "mid=200 token=b0")
        + put(2, 1, 512, "mid=202 token=b2")
        + taken(1, 1, 512, "mid=201 token=b1")
        + taken(2, 1, 512, "mid=202 token=b2", code="4.08"),
        "M8 server proved",
    ),
    "M8: two blocks are asked for at once": Mode(
        URI
        + asked(0, 1024, "mid=300 token=c0")
        + asked(1, 1024, "mid=301 token=c1")
        + block(0, 1, 1024, "mid=300 token=c0")
        + block(1, 1, 1024, "mid=301 token=c1")
        + "pull /fw.bin 2\ninstalled"
    ),
    # ---------------------------------------------------------------- M9: message ids that come again
    "M9: each block has the same message id and the same token": Mode(
        "ready\n"
        + "".join(
            put(num, int(num < 2), 1024, "mid=7 token=aa", length=952 if num == 2 else 0)
            + taken(num, int(num < 2), code="2.31" if num < 2 else "2.04")
            for num in range(3)
        )
        + "installed",
        "M9 server proved",
        says="message id 7 is used again in frame 11 for another message",
    ),
    "M9: two notifications of one observation, 60 s apart": Mode(
        f"ready\npush\n{NUMBERED.format(1, 'NON', 2)}{NUMBERED.format(60, 'NON', 3)}read /5/0/5 0",
        "M9 device proved",
    ),
    "M9: two NON notifications, 150 s apart": Mode(
        f"ready\npush\n{NUMBERED.format(1, 'NON', 2)}{NUMBERED.format(150, 'NON', 3)}read /5/0/5 0"
    ),
    "M9: the other one counts alike": Mode(
        f"ready\n{put(0, 1, 1024, 'mid=7 token=aa')}{taken(0)}device > server CON POST /rd/1 mid=7\n"
        "server > device ACK 2.04\npush 1-2\ninstalled"
    ),
    # ---------------------------------------------------------------- M10: separate responses
    "M10: a notification is sent five times, and the server, which asks all the time, never acknowledges it": Mode(
        "ready\npush\n" + "".join(NUMBERED.format(gap, "CON", 9) + "read /5/0/5 0\n" for gap in (1, 2.5, 5, 10, 20)),
        "M10 server suspected",
    ),
    "M10: it is not confirmable": Mode(f"{SEPARATE}+3 device > server NON 2.05 text=1.0.0 token=ee\ninstalled"),
    "M10: the server resets it": Mode(
        f"{SEPARATE}+3 device > server CON 2.05 text=1.0.0 token=ee\nserver > device RST"
    ),
    # ---------------------------------------------------------------- M15: a retry is taken for a copy
    "M15: each of three tries is acknowledged, and none answered": Mode(
        f"ready\npush 0\n{ONE}{RECEIVED}+30 {ONE}{RECEIVED}+30 {ONE}{RECEIVED}+120 {ALIVE}",
        "M15 device suspected",
        says="block 1 was sent again in frame 15 under a new message id",
    ),
    "M15: a block is asked for again, and the repository acknowledges it only": Mode(
        f"{URI}{asked(0, 1024, 'token=aa')}+62 {asked(0, 1024, 'token=aa')}repository > device ACK\n+120 {ALIVE}",
        "M15 repository suspected",
        "W15",
    ),
    "M15: under a new token it is another request": Mode(
        f"ready\npush 0\n{ONE}+62 {OTHER}device > server ACK\n+120 {ALIVE}",
        "",
        "M15",
    ),
    "M15: the capture ends a minute later": Mode(
        f"ready\npush 0\n{ONE}+62 {ONE}device > server ACK\n+60 {ALIVE}",
        "",
        "M15",
    ),
    # ---------------------------------------------------------------- N2: a reset, and what had been sent before
    "N2: the next one had waited behind others since before the reset": Mode(
        """
        ready
        push
        device > server CON 2.05 for=/5/0/3 observe=5 cf=0 text=1
        server > device RST
        wait 1.5
        notify /5/0/5 0
        +1.5 device > server CON 2.05 for=/5/0/3 observe=6 cf=0 text=2
        server > device RST
        read /5/0/3 2
        """,
        "",
        "N2",
        "it may have waited behind those that came between",
    ),
    "N2: so does each one after it": Mode(
        """
        ready
        push
        device > server CON 2.05 for=/5/0/3 observe=5 cf=0 text=1
        server > device RST
        wait 1.5
        notify /5/0/5 0
        +1.5 device > server CON 2.05 for=/5/0/3 observe=6 cf=0 text=2
        server > device RST
        +4 device > server CON 2.05 for=/5/0/3 observe=7 cf=0 text=2
        server > device RST
        """,
        "N2 device suspected",
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_a_mode_is_told_and_nothing_else(name: str) -> None:
    """Its rule, its party, its certainty; and of what only looks like it, no failure."""
    mode = MODES[name]
    failed, left_open, sentences = conclusions(mode.script)
    assert (failed, left_open) == (mode.fails, mode.left_open), "\n".join(sentences)
    assert not mode.says or any(mode.says in one for one in sentences), "\n".join(sentences)
