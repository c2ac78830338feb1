"""The failure modes of block-wise transfer (W1 to W18) as real stacks show them, beside what only looks like it."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from tests.peers import Session, image
from tests.trace.modes import ALIVE, URI, Mode, again, asked, block, conclusions, put, taken

SHOWN = "read /5/0/3 1"
LAST = {"length": 952}
VERSIONED = URI.replace("fw.bin", "fw.bin?v=2")
GONE = "repository > device ACK 4.04\nnotify /5/0/5 4"

#: A block from another server, and its answer.
OTHER = """192.0.2.9 > device CON PUT /5/0/0 1:{0}/1/512 cf=42 512B
device > 192.0.2.9 ACK {1} 1:{0}/1/512
"""
A_THEN_B = """ready
uri coap://192.0.2.3/a.bin
pull /a.bin
notify /5/0/5 5
notify /5/0/3 0
uri coap://192.0.2.3/b.bin
pull /b.bin
"""
#: A block that is asked for five times, and answered each time.
IN_VAIN = (
    asked(0)
    + block(0)
    + "".join(f"+{gap} device > repository again\nrepository > device again\n" for gap in (2.5, 5, 10, 20))
)

MODES = {
    # ---------------------------------------------------------------- W1: 4.08 though nothing is missing
    "W1: 4.08 in a message of its own": Mode(
        f"ready\n{put(0)}{taken(0)}{put(1)}device > server ACK\n+1 {taken(1, code='4.08', kind='CON')}"
        "server > device ACK",
        "W1 device proved",
    ),
    "W1: to the last block, at a size where buffers end": Mode(
        f"ready\npush 0-1\n{put(2, 0, **LAST)}{taken(2, 0, code='4.08')}", "W1 device proved"
    ),
    "W1: after the size was made smaller, and followed": Mode(
        f"ready\n{put(0)}{taken(0, 1, 256)}{put(4, 1, 256)}{taken(4, 1, 256, code='4.08')}", "W1 device proved"
    ),
    "W1: the server gives each block a Request-Tag of its own": Mode(
        f"ready\n{put(0, 1, 1024, 'tag=01')}{taken(0)}{put(1, 1, 1024, 'tag=02')}{taken(1, code='4.08')}",
        "W1 server proved",
        says="its Request-Tag is not that of block 0",
    ),
    "W1: the server goes on from another port": Mode(
        "ready\npush 0-2 size=256\nserver:5700 > device CON PUT /5/0/0 1:3/1/256 cf=42 256B\n"
        "device > server:5700 ACK 4.08 1:3/1/256",
        "W1 server suspected",
        says="it comes from 192.0.2.1:5700, block 0 from 192.0.2.1:5683",
    ),
    "W1: the device started anew in between": Mode(
        f"ready\npush 0-1 size=256\nregister\n{put(2, 1, 256)}{taken(2, 1, 256, code='4.08')}"
    ),
    "W1: the capture begins behind block 0": Mode(f"{put(4)}{taken(4)}{put(5)}{taken(5, code='4.08')}"),
    # ---------------------------------------------------------------- W2: a later block is for something else
    "W2: the path of a download is in block 0 alone": Mode(
        f"{URI}{asked(0)}{block(0)}device > repository CON GET 2:1/0/1024\n{GONE}",
        "W2 device proved",
        says="block 1 in frame 13 has not the Uri-Path of block 0 in frame 11, and 4.04 is the answer",
    ),
    "W2: so is the host": Mode(
        f"{URI}{asked(0, 1024, 'opt3=666f6f')}{block(0)}{asked(1)}{GONE}", "W2 device proved", says="the Uri-Host of"
    ),
    "W2: the query is lost at block 3, and 5.00 is the answer": Mode(
        VERSIONED
        + "".join(asked(num, 256, "?v=2") + block(num, 1, 256) for num in range(3))
        + f"{asked(3, 256)}repository > device ACK 5.00\nnotify /5/0/5 4",
        "W2 device proved",
    ),
    "W2: Accept in block 0 alone": Mode(
        f"{URI}{asked(0, 1024, 'accept=42')}{block(0)}{asked(1)}{block(1)}{asked(2)}{block(2, 0, **LAST)}installed"
    ),
    # ---------------------------------------------------------------- W3: a hint is ignored
    "W3: the same size, three times": Mode(
        "ready\n" + (put(0) + taken(0, 1, 256, code="4.13")) * 3, "W3 server proved"
    ),
    "W3: in NON": Mode(
        "ready\n" + (put(0, kind="NON") + taken(0, 1, 256, code="4.13", kind="NON")) * 2, "W3 server proved"
    ),
    "W3: the hint comes at block 5, and is followed from block 0 on": Mode(
        f"image 8192\nready\npush 0-4\n{put(5)}{taken(5, 1, 256, code='4.13')}push size=256\ninstalled"
    ),
    "W3: smaller still": Mode(f"ready\n{put(0)}{taken(0, 1, 256, code='4.13')}push size=128\ninstalled"),
    "W3: 2.31 with a smaller size is a wish, and may be ignored": Mode(
        f"ready\n{put(0)}{taken(0, 1, 256)}{put(1)}{taken(1, 1, 256)}{put(2, 0, **LAST)}"
        f"{taken(2, 0, 256, code='2.04')}installed"
    ),
    # ---------------------------------------------------------------- W4: larger than asked for
    "W4: block 4 alone is answered with a larger size": Mode(
        f"ready\npush 0-3 size=256\n{put(4, 1, 256)}{taken(4, 1, 512)}push 5-11 size=256\ninstalled", "W4 device proved"
    ),
    "W4: who names no size gets any": Mode(
        f"{URI}device > repository CON GET /fw.bin\n{block(0)}{asked(1)}{block(1)}{asked(2)}{block(2, 0, **LAST)}"
        "installed"
    ),
    # ---------------------------------------------------------------- W5: the number is not rescaled
    "W5: a download goes from 1024 to 256 bytes by its own": Mode(
        f"{URI}{asked(0)}{block(0)}{asked(1, 256)}{block(1, 1, 256)}{asked(2, 256)}{block(2, 1, 256)}",
        "W5 device proved",
    ),
    "W5: the size grows, and the number goes on": Mode(
        f"image 8192\nready\npush 0-3 size=512\n{put(4)}{taken(4)}{put(5)}{taken(5)}", "W5 server proved"
    ),
    "W5: from 1024 to 512 in mid-push": Mode("image 8192\nready\npush 0-1\npush 4-15 size=512\ninstalled"),
    "W5: from 512 to 1024 in mid-push": Mode("image 8192\nready\npush 0-7 size=512\npush 4-7 size=1024\ninstalled"),
    # ---------------------------------------------------------------- W6: a block shorter than it says
    "W6: block 0 carries nothing": Mode(
        f"ready\nserver > device CON PUT /5/0/0 1:0/1/1024 cf=42\n{taken(0)}push 1-2", "W6 server proved"
    ),
    "W6: each block of a download is cut": Mode(
        URI + "".join(asked(num) + block(num, 1, 1024, length=1000) for num in range(3)), "W6 repository proved"
    ),
    "W6: the last block carries nothing, for the image ends with a whole one": Mode(
        f"image 2048\nready\npush 0\n{put(1)}{taken(1)}server > device CON PUT /5/0/0 1:2/0/1024 cf=42\n"
        f"{taken(2, 0, code='2.04')}installed"
    ),
    # ---------------------------------------------------------------- W7: a gap is taken
    "W7: block 1 of a download is never asked for, and it is called Downloaded": Mode(
        f"{URI}{asked(0)}{block(0)}{asked(2)}{block(2, 0, **LAST)}notify /5/0/3 2",
        "W7 device proved",
        says="block 2 in frame 13 has message id 107, the message before it (frame 11) 106",
    ),
    "W7: the answer with block 1 is missing in the capture": Mode(
        f"{URI}{asked(0)}{block(0)}{asked(1)}{block(1, 1, 1024, 'lost')}{asked(2)}{block(2, 0, **LAST)}notify /5/0/3 2",
        "",
        "W7",
    ),
    "W7: message ids that do not count one by one": Mode(
        f"ready\n{put(0, 1, 1024, 'mid=900')}{taken(0)}{put(2, 0, 1024, 'mid=77', **LAST)}{taken(2, 0, code='2.04')}",
        "",
        "W7",
    ),
    # ---------------------------------------------------------------- W8: the wrong code
    "W8: 2.05 in the middle": Mode(
        f"ready\n{put(0)}{taken(0, code='2.05')}{put(1)}{taken(1, code='2.05')}{put(2, 0, **LAST)}"
        f"{taken(2, 0, code='2.04')}",
        "W8 device proved",
    ),
    "W8: 2.04 in a message of its own": Mode(
        f"ready\n{put(0)}device > server ACK\n+1 {taken(0, code='2.04', kind='CON')}server > device ACK\n{put(1)}",
        "W8 device proved",
    ),
    # ---------------------------------------------------------------- W9: M is never cleared
    "W9: the device waits for what never comes": Mode(
        f"image 2048\n{URI}{asked(0)}{block(0, 1, 1024, 'size2=2048')}{asked(1)}{block(1)}wait 200\n{SHOWN}",
        "W15 device suspected, W9 repository proved",
    ),
    "W9: a block behind the end is refused with 4.02, which is no unknown option": Mode(
        f"image 3072\n{URI}{asked(0)}{block(0)}{asked(1)}{block(1)}{asked(2)}{block(2)}{asked(3)}"
        "repository > device ACK 4.02\nnotify /5/0/5 4",
        "F11 repository suspected, W9 repository suspected",
    ),
    "W9: an empty last block ends it": Mode(
        f"image 2048\n{URI}{asked(0)}{block(0)}{asked(1)}{block(1)}{asked(2)}repository > device ACK 2.05 2:2/0/1024\n"
        "installed"
    ),
    # ---------------------------------------------------------------- W10: another block comes
    "W10: the answers have no Block2": Mode(
        f"{URI}{asked(0)}{block(0)}{asked(1)}repository > device ACK 2.05 1024B\n{asked(2)}"
        "repository > device ACK 2.05 1024B",
        "W10 repository proved",
        says="the 2.05 in frame 14 has no Block2",
    ),
    "W10: block 0 for each token, in messages of their own": Mode(
        URI
        + "".join(
            f"{asked(num, 1024, f'token=a{num}')}repository > device ACK\n"
            f"+1 {block(0, 1, 1024, f'token=a{num}', kind='CON')}device > repository ACK\n"
            for num in range(3)
        ),
        "W10 repository proved",
    ),
    "W10: a late copy of block 0": Mode(
        f"{URI}{asked(0, 1024, 'token=a0')}repository > device ACK\n{block(0, 1, 1024, 'token=a0 mid=77', kind='CON')}"
        f"device > repository ACK\n{asked(1, 1024, 'token=a1')}repository > device ACK\n"
        f"{block(0, 1, 1024, 'token=a0 mid=77', kind='CON')}device > repository ACK\n"
        f"{block(1, 1, 1024, 'token=a1', kind='CON')}device > repository ACK\npull /fw.bin 2\ninstalled"
    ),
    "W10: an image of one byte": Mode(
        URI
        + "".join(
            f"{asked(num)}repository > device ACK 2.05 2:{num}/{int(num < 3)}/1024 hex={'ff' * 1024}\n"
            for num in range(4)
        )
    ),
    # ---------------------------------------------------------------- W11, W12: another version
    "W11: two repositories behind one name, in turn": Mode(
        URI
        + "".join(f"pull /fw.bin {num} size=512 etag={'ab'[num % 2] * 2}\n" for num in range(6))
        + "notify /5/0/3 2",
        "W11 device proved",
    ),
    "W11: the device finds it out by the hash": Mode(
        f"{URI}pull /fw.bin 0 etag=aa\npull /fw.bin 1-2 etag=bb\nnotify /5/0/5 5\nnotify /5/0/3 0", "", "W11"
    ),
    "W11: only block 0 has an ETag": Mode(f"{URI}pull /fw.bin 0 etag=aa\npull /fw.bin 1-2\ninstalled"),
    "W12: resumed a little before the break": Mode(
        f"{URI}pull /fw.bin 0-5 size=256 etag=aa\nwait 100\npull /fw.bin 4-11 size=256 etag=aa\ninstalled"
    ),
    # ---------------------------------------------------------------- W13: a buffer is full
    "W13: 5.00 at 2,048 bytes": Mode(
        f"image 20000 raw\nready\npush 0-3 size=512\n{put(4, 1, 512)}{taken(4, 1, 512, code='5.00')}",
        "W13 device suspected",
    ),
    "W13: 4.13 at 8,192 bytes, with that limit": Mode(
        f"image 20000 raw\nready\npush 0-7\n{put(8)}device > server ACK 4.13 size1=8192", "W13 device suspected"
    ),
    "W13: the image is too large, and block 0 refused": Mode(
        f"image 20000 raw\nready\n{put(0, 1, 1024, 'size1=20000')}device > server ACK 4.13 size1=16384"
    ),
    "W13: block 0 of the next try is refused": Mode(
        f"image 20000 raw\nready\npush 0-7\n+60 {put(0)}{taken(0, code='5.00')}", "", "W13"
    ),
    # ---------------------------------------------------------------- W14: two bodies in one
    "W14: another server pushes at the same time": Mode(
        f"ready\npush 0 size=512\n{OTHER.format(0, '2.31')}push 1 size=512\n{OTHER.format(1, '4.08')}",
        "W14 server suspected",
        says="192.0.2.1:5683 and 192.0.2.9:5683 push to /5/0/0 at once, from frame 11 on, and 4.08 in frame 16 follows",
    ),
    "W14: the next file is the last one, byte for byte, and damaged to the device": Mode(
        f"{A_THEN_B}notify /5/0/5 5\nnotify /5/0/3 0",
        "",
        "W14",
        "all blocks of coap://192.0.2.3/b.bin are byte for byte what coap://192.0.2.3/a.bin has there",
    ),
    "W14: the same file under two names, and it is taken": Mode(f"{A_THEN_B}installed"),
    # ---------------------------------------------------------------- W15: a download that stops
    "W15: NON, and the last GET is lost": Mode(
        f"{URI}notify /5/0/3 1\n{asked(0, kind='NON')}{block(0, kind='NON')}{asked(1, kind='NON')}wait 280\n{SHOWN}",
        "W15 device suspected",
    ),
    "W15: acknowledged, and never answered": Mode(
        f"{URI}notify /5/0/3 1\npull /fw.bin 0\n{asked(1)}repository > device ACK\nwait 280\n{SHOWN}",
        "W15 device suspected",
        "M15",
        "was acknowledged by an empty message in frame 16, and never answered",
    ),
    "W15: it goes on after a long break": Mode(
        f"{URI}notify /5/0/3 1\npull /fw.bin 0 etag=aa\n{asked(1)}wait 280\npull /fw.bin 1-2 etag=aa\ninstalled"
    ),
    # ---------------------------------------------------------------- W16: too large for the link
    "W16: beside the repository, which answers each copy; twice, and then with smaller blocks": Mode(
        f"{URI}{IN_VAIN}wait 20\n{IN_VAIN}wait 20\npull /fw.bin size=256\ninstalled", "W16 network suspected"
    ),
    "W16: once, and then with smaller blocks": Mode(
        f"{URI}{IN_VAIN}wait 20\npull /fw.bin size=256\ninstalled", "", "W16"
    ),
    "W16: the last copy reaches the device": Mode(f"{URI}{IN_VAIN}pull /fw.bin 1-2 etag=aa\ninstalled", "", "W12"),
    # ---------------------------------------------------------------- W17: another token
    "W17: a token of no bytes": Mode(
        f"ready\n{put(0, 1, 1024, 'token=aabb')}{taken(0, 1, 1024, 'token=')}+2.5 server > device again\n"
        f"{taken(0, 1, 1024, 'token=')}{ALIVE}",
        "W17 device proved",
    ),
    "W17: that of the block before": Mode(
        f"ready\n{put(0, 1, 1024, 'token=a0')}{taken(0)}{put(1, 1, 1024, 'token=a1')}"
        f"{taken(1, 1, 1024, 'token=a0')}{ALIVE}",
        "W17 device proved",
    ),
    "W17: in a message of its own, which the server resets": Mode(
        f"ready\n{put(0, 1, 1024, 'token=a0')}device > server ACK\n+1 {taken(0, 1, 1024, 'token=bb', kind='CON')}"
        f"server > device RST\n+100 {ALIVE}",
        "W17 device suspected",
        "M15",
        "names that block, carries a token with which nobody asked, and was reset",
    ),
    "W17: the requests themselves have no token behind block 0": Mode(
        f"ready\n{put(0, 1, 1024, 'token=aa')}{taken(0)}{put(1, 1, 1024, 'token=')}{taken(1)}"
        f"{put(2, 0, 1024, 'token=', **LAST)}{taken(2, 0, code='2.04')}installed"
    ),
    # ---------------------------------------------------------------- W18: a separate 2.31
    "W18: the server resets it": Mode(
        f"ready\n{put(0)}device > server ACK\n+1 {taken(0, kind='CON')}server > device RST",
        "W18 server suspected",
        says="and the server reset it in frame 12",
    ),
    "W18: it comes in NON": Mode(
        f"ready\n{put(0)}device > server ACK\n+1 {taken(0, kind='NON')}wait 60\n{SHOWN}", "W18 server suspected"
    ),
    "W18: the server never acknowledges it": Mode(
        f"ready\n{put(0)}device > server ACK\n+1 {taken(0, kind='CON')}{again('device > server', (2.5, 5, 10))}"
        "+60 device > server CON POST /rd/1",
        "",
        "W18",
    ),
    "W18: the capture ends": Mode(
        f"ready\n{put(0)}device > server ACK\n+1 {taken(0, kind='CON')}server > device ACK\nwait 5\n{SHOWN}"
    ),
    "W18: the last block is answered so": Mode(
        f"ready\npush 0-1\n{put(2, 0, **LAST)}device > server ACK\n+3 {taken(2, 0, code='2.04', kind='CON')}"
        "server > device ACK\ninstalled"
    ),
}


def two_downloads(mixed: bool) -> Session:
    """Two devices download two files from one repository in turn; the second one gets a block of the other's."""
    session = Session("register\nuri coap://192.0.2.3/a.bin")
    first, session.device = session.device, ("192.0.2.22", 50000)
    session.script(
        """
        device > server CON POST /rd ?ep=dev-2&lwm2m=1.1&lt=300&b=U cf=40 text='</3/0>,</5>;ver=1.1,</5/0>'
        server > device ACK 2.01
        uri coap://192.0.2.3/b.bin
        """
    )
    second, one, other = session.device, image(3000, "2.1.0"), image(3000, "2.2.0")
    for num in range(3):
        session.device, session.image = first, one
        session.script(f"pull /a.bin {num}")
        session.device, session.image = second, one if mixed and num == 1 else other
        session.script(f"pull /b.bin {num}")
    session.script(f"server > device CON GET /5/0/5\ndevice > server ACK 2.05 cf=0 text={5 if mixed else 0}")
    return session


@pytest.mark.parametrize(("mixed", "failed"), [(True, ["W14 repository dev-2"]), (False, [])])
def test_a_cache_puts_two_bodies_together(mixed: bool, failed: list[str]) -> None:
    """Found by the bytes, and of the device alone that got them; two versions of one firmware have much in common."""
    found = lab.explain(two_downloads(mixed).capture()).problems
    fails = [one for one in found if str(one.verdict) == "FAIL"]
    assert [f"{one.rule} {one.party} {one.endpoint}" for one in fails] == failed
    said = "block 1 of coap://192.0.2.3/b.bin is byte for byte what coap://192.0.2.3/a.bin has there, which dev-1 was"
    assert all(said in one.sentence for one in fails)


@pytest.mark.parametrize("name", MODES)
def test_a_mode_is_told_and_nothing_else(name: str) -> None:
    """Its rule, its party, its certainty; and of what only looks like it, no failure."""
    mode = MODES[name]
    failed, left_open, sentences = conclusions(mode.script)
    assert (failed, left_open) == (mode.fails, mode.left_open), "\n".join(sentences)
    assert not mode.says or any(mode.says in one for one in sentences), "\n".join(sentences)
