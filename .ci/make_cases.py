"""Make the two captures of a download that rests behind a NAT: `python .ci/make_cases.py [--check]`.

Simulated time carries no DTLS, and a live session draws its own randomness; so the peers of these two are written down:
CoAP by `tests/peers.py`, DTLS by `tests/wire/dtls_peer.py`. `--check` only compares, for the test.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from dataclasses import replace

ROOT = pathlib.Path(__file__).resolve().parent.parent
CAPTURES = ROOT / "data" / "captures"
sys.path.insert(0, str(ROOT))

from lwm2m_lab.wire.coap import Message, encode  # noqa: E402
from lwm2m_lab.wire.packets import udp_packet  # noqa: E402
from lwm2m_lab.wire.pcap import Interface  # noqa: E402
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes  # noqa: E402
from tests.peers import Session, image, number  # noqa: E402
from tests.wire.dtls_peer import CLIENT, SERVER, DtlsPeer  # noqa: E402

NAMES = {False: "lab-coaps-pull-rest.pcapng", True: "lab-coaps-pull-rest-cid.pcapng"}
IDENTITY, KEY = "urn:dev:valve-9", bytes.fromhex("101112131415161718191a1b1c1d1e1f")
REPOSITORY, HOST = ("192.0.2.3", 5684), "192.0.2.2"
#: The device's port as the repository sees it before the hour of rest, and after it; then as the LwM2M server does.
BEFORE, AFTER, AFTER_SERVER = 40_001, 52_344, 51_777
BEGINNING = f"""
device > server  CON POST /rd ?ep={IDENTITY}&lwm2m=1.1&lt=86400&b=UQ cf=40 text='</3/0>,</5>;ver=1.1,</5/0>'
server > device  ACK 2.01 opt8=7264 opt8=31
observe /5/0/3 0
observe /5/0/5 0
read /3/0/3 1.0.0
uri coaps://192.0.2.3/fw/valve.bin
notify /5/0/3 1
"""
SIZE, BLOCK, RESTS_AT = 60_000, 512, 60


class Download:
    """The device's side of a download over DTLS, datagram by datagram."""

    def __init__(self, *, cid: bool) -> None:
        self.told, self.body, self.cid = Session(BEGINNING), image(SIZE, "2.1.0"), cid
        self.port, self.mid = BEFORE, 7000
        self.peer = self._peer(1)

    def _peer(self, seed: int) -> DtlsPeer:
        own, other = (b"", bytes.fromhex("c1d0000000000009")) if self.cid else (None, None)
        return DtlsPeer(identity=IDENTITY, key=KEY, client_cid=own, server_cid=other, seed=seed)

    def put(self, side: str, datagram: bytes) -> None:
        """One datagram on the wire, 50 ms after the one before."""
        device = (HOST, self.port)
        ends = (device, REPOSITORY) if side == CLIENT else (REPOSITORY, device)
        self.told.packets.append(Packet(round(self.told.now * 10**9), udp_packet(*ends, datagram)))
        self.told.wait(0.05)

    def connect(self) -> None:
        """A whole handshake."""
        for side, datagram in self.peer.handshake():
            self.put(side, datagram)

    def get(self, block: int, *, copies: tuple[float, ...] = (), answered: bool = True) -> None:
        """Ask for a block; each copy leaves so many seconds after the one before, in a record of its own."""
        self.mid += 1
        token, more = self.mid.to_bytes(2, "big"), (block + 1) * BLOCK < SIZE
        path = ((11, b"fw"), (11, b"valve.bin"))
        asked = encode(Message("CON", "0.01", self.mid, token, (*path, (23, number(block << 4 | 5)))))
        self.put(CLIENT, self.peer.sealed(CLIENT, 23, asked))
        for seconds in copies:
            self.told.wait(seconds - 0.05)
            self.put(CLIENT, self.peer.sealed(CLIENT, 23, asked))
        if answered:
            options = ((4, b"\xe7\xa9"), (12, b"*"), (23, number(block << 4 | more << 3 | 5)))
            part = self.body[block * BLOCK : (block + 1) * BLOCK]
            answer = encode(Message("ACK", "2.05", self.mid, token, options, part))
            self.put(SERVER, self.peer.sealed(SERVER, 23, answer))


def session(*, cid: bool) -> bytes:
    """The whole story as a file."""
    download = Download(cid=cid)
    download.connect()
    for block in range(RESTS_AT):
        download.get(block)
    download.told.wait(3600)
    download.port, download.told.device = AFTER, (HOST, AFTER_SERVER)
    download.told.script("device > server  CON POST /rd/1\nserver > device  ACK 2.04")
    blocks = -(-SIZE // BLOCK)
    if cid:
        for block in range(RESTS_AT, blocks):
            download.get(block)
        download.told.script("read /5/0/3 2")
    else:
        download.get(RESTS_AT, copies=(2.6, 5.2, 10.4, 20.8), answered=False)
        download.told.wait(41.6)
        download.peer = download._peer(2)
        download.connect()
        for block in range(RESTS_AT // 3):
            download.get(block)
    # Seconds since the epoch as a float are good for a quarter of a microsecond.
    packets = [replace(one, time_ns=round(one.time_ns, -6)) for one in download.told.packets]
    return pcapng_bytes(packets, interfaces=[Interface("repository")])


def main() -> int:
    """Make the captures, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 where a capture is another one")
    check = parser.parse_args().check
    stale = []
    for cid, name in NAMES.items():
        place, data = CAPTURES / name, session(cid=cid)
        if check and place.read_bytes() != data:
            stale.append(name)
        if not check:
            place.write_bytes(data)
    if stale:
        print(f"other bytes, run 'python .ci/make_cases.py': {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
