"""Write a capture of many devices being updated, for measuring: the same arguments give the same bytes.

Devices register, are observed and read, get an image by Block1 push or fetch it by Block2, report states, reboot and
come again. Some exchanges are lost and repeated, some packets are no CoAP at all.
"""

from __future__ import annotations

import argparse
import heapq
import pathlib
import random
import struct
from collections.abc import Iterator

__all__ = ["capture", "write_capture"]

#: A packet before it is framed: when, whether the server sends it, and the message.
Event = tuple[float, bool, bytes]
START = 1_760_000_000
BLOCK_SIZE = {5: 512, 6: 1024}
_PCAP_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
_PATHS = {path: b"".join(bytes([(0xB0 if not at else 0) | len(part)]) + part.encode()
                         for at, part in enumerate(path.split("/")))
          for path in ("rd", "5/0/0", "5/0/1", "5/0/2", "5/0/3", "5/0/5", "3/0/3", "3/0/9", "3303/0/5700")}  # fmt: skip
_OBSERVED = ("5/0/3", "5/0/5", "3303/0/5700")


class Device:
    """One device and the server's side of its conversation."""

    def __init__(self, number: int, seed: int, blocks: int, image: bytes) -> None:
        self.dice = random.Random(f"{seed}/{number}")
        self.number, self.blocks, self.image = number, blocks, image
        self.pushed = number % 2 == 0
        self.szx = 6 if number % 4 < 2 else 5
        self.mids = [self.dice.randrange(65536), self.dice.randrange(65536)]
        self.wide = number % 5 == 4
        port = 5683 if number % 3 else 40000 + number
        if self.wide:
            ends = [bytes.fromhex("20010db8000100000000000000000000")[:14] + struct.pack(">H", 256 + number),
                    bytes.fromhex("20010db8000200000000000000000001")]  # fmt: skip
        else:
            ends = [bytes([10, 7, number >> 8, number & 255]), bytes([192, 0, 2, 1])]
        self.routes = [self._route(ends[0], ends[1], port, 5683), self._route(ends[1], ends[0], 5683, port)]

    def _route(self, source: bytes, destination: bytes, from_port: int, to_port: int) -> tuple[bytes, bytes, int]:
        """Ethernet and IP header without length and checksum, ports, and the sum of what does not change."""
        ports = struct.pack(">HH", from_port, to_port)
        ethernet = b"\2\0\0\0\0\1\2\0\0\0\0\2" + (b"\x86\xdd" if self.wide else b"\x08\x00")
        if self.wide:
            ip = ethernet + b"\x60\0\0\0\0\0\x11\x40" + source + destination
        else:
            ip = ethernet + b"\x45\0\0\0\0\0\x40\0\x40\x11\0\0" + source + destination
        return ip, ports, int.from_bytes(source + destination, "big") + 17 + int.from_bytes(ports, "big")

    def frame(self, by_server: bool, message: bytes) -> bytes:
        """An Ethernet frame around a message, its checksums right, filled to 60 bytes."""
        head, ports, fixed = self.routes[by_server]
        length = 8 + len(message)
        body = int.from_bytes(message + b"\0" if length & 1 else message, "big")
        checksum = 0xFFFF - (fixed + 2 * length + body) % 0xFFFF or 0xFFFF
        if self.wide:
            ip = head[:18] + struct.pack(">H", length) + head[20:]
        else:
            ip = head[:16] + struct.pack(">H", 20 + length) + head[18:]
            ip = ip[:24] + struct.pack(">H", 0xFFFF - int.from_bytes(ip[14:], "big") % 0xFFFF) + ip[26:]
        return (ip + ports + struct.pack(">HH", length, checksum) + message).ljust(60, b"\0")

    def _mid(self, by_server: bool) -> bytes:
        self.mids[by_server] = (self.mids[by_server] + 1) % 65536
        return struct.pack(">H", self.mids[by_server])

    def _exchange(self, at: float, by_server: bool, ask: bytes, answer: bytes) -> Iterator[Event]:
        """A request and its answer; one in twenty is lost or comes twice. The time goes on in `self.now`."""
        dice, wait = self.dice, 2 + self.dice.random()
        while dice.random() < 0.025 and wait < 40:
            yield at, by_server, ask
            if dice.random() < 0.5:
                yield at + 0.02, not by_server, answer
            at, wait = at + wait, 2 * wait
        yield at, by_server, ask
        self.now = at + 0.02 + 0.05 * dice.random()
        if dice.random() < 0.025:
            yield at + 0.01, by_server, ask
        yield self.now, not by_server, answer

    def _ask(self, by_server: bool, code: int, options: bytes, answer: int, reply: bytes = b"") -> Iterator[Event]:
        token, mid = self.dice.randbytes(8), self._mid(by_server)
        yield from self._exchange(self.now + 0.05, by_server, bytes([0x48, code]) + mid + token + options,
                                  bytes([0x68, answer]) + mid + token + reply)  # fmt: skip

    def events(self) -> Iterator[Event]:
        """Its life, update after update, without end."""
        self.now, image = self.number * 0.05 + self.dice.random(), 0
        while True:
            image += 1
            name = f"ep=urn:dev:bench-{self.number:06d}".encode()
            register = _PATHS["rd"] + b"\x11\x28\x38lt=86400\x09lwm2m=1.1" + bytes([0x0D, len(name) - 13]) + name
            links = b'</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</5/0>,</3303/0>'
            yield from self._ask(False, 2, register + b"\xff" + links, 0x41, b"\x82rd\x05" + b"%05x" % self.number)
            observed = {}
            for path in _OBSERVED:
                token, mid = self.dice.randbytes(8), self._mid(True)
                observed[path] = token
                value = b"21.5" if "3303" in path else b"0"
                option = b"\x60" + bytes([_PATHS[path][0] - 0x60]) + _PATHS[path][1:]
                yield from self._exchange(self.now + 0.1, True, b"\x48\x01" + mid + token + option,
                                          b"\x68\x45" + mid + token + b"\x61\x01\x60\xff" + value)  # fmt: skip
            yield from self._ask(True, 1, _PATHS["3/0/3"], 0x45, b"\xc0\xff1.%d.0" % image)
            if not self.pushed:
                uri = b"coap://fw.example.net/fw/%d/%d.bin" % (self.number % 7, image)
                yield from self._ask(True, 3, _PATHS["5/0/1"] + b"\x10\xff" + uri, 0x44)
            yield from self._transfer(image, observed)
            for path, value in (("5/0/3", b"2"), ("5/0/3", b"3"), ("5/0/5", b"1")):
                mid = self._mid(False)
                told = b"\x48\x45" + mid + observed[path] + b"\x61\x02\x60\xff" + value
                yield from self._exchange(self.now + 0.2, False, told, b"\x60\x00" + mid)
                if value == b"2":
                    yield from self._ask(True, 2, _PATHS["5/0/2"], 0x44)
            self.now += 5 + 10 * self.dice.random()

    def _transfer(self, image: int, observed: dict[str, bytes]) -> Iterator[Event]:
        """Block after block; readings of a sensor and of the battery in between."""
        size, token = BLOCK_SIZE[self.szx], self.dice.randbytes(8)
        etag, path = b"\x43\x5a" + struct.pack(">H", image), b"\xb2fw\x01%d" % (self.number % 7)
        name = b"%d.bin" % image
        path += bytes([len(name)]) + name
        for number in range(self.blocks):
            more, mid = number + 1 < self.blocks, self._mid(self.pushed)
            value = _number(number << 4 | more << 3 | self.szx)
            start = (self.number * 7919 + number * size) % (len(self.image) - size)
            content = b"\xff" + self.image[start : start + size]
            if self.pushed:
                block = bytes([0xD0 | len(value), 2]) + value
                total = b"\xd3\x14" + struct.pack(">I", self.blocks * size)[1:] if number == 0 else b""
                ask = b"\x48\x03" + mid + token + _PATHS["5/0/0"] + b"\x11\x2a" + block + total + content
                answer = bytes([0x68, 0x5F if more else 0x44]) + mid + token + bytes([0xD0 | len(value), 14]) + value
            else:
                wanted = _number(number << 4 | self.szx)
                ask = b"\x48\x01" + mid + token + path + bytes([0xC0 | len(wanted)]) + wanted
                block = b"\x81\x2a" + bytes([0xB0 | len(value)]) + value
                answer = b"\x68\x45" + mid + token + etag + block + content
            yield from self._exchange(self.now + 0.01, self.pushed, ask, answer)
            if number % 16 == 7:
                told = (
                    b"\x62" + struct.pack(">H", 256 + number % 60000) + b"\x60\xff%.2f" % (20 + 3 * self.dice.random())
                )
                yield self.now + 0.001, False, b"\x58\x45" + self._mid(False) + observed["3303/0/5700"] + told
            if number % 40 == 20:
                yield from self._ask(True, 1, _PATHS["3/0/9"] + b"\x62\x2d\x16", 0x45, b"\xc2\x2d\x16\xff\xc1\x09\x64")


def _number(value: int) -> bytes:
    """A number in as many bytes as it needs."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _noise(dice: random.Random, number: int) -> bytes:
    """A packet that is no CoAP: ARP, DNS or TCP."""
    ethernet = b"\xff\xff\xff\xff\xff\xff\2\0\0\0\0\3"
    if number % 3 == 0:
        return ethernet + bytes.fromhex("08060001080006040001020000000003c00002020000000000000a070001") + bytes(18)
    udp = number % 3 == 1
    query = dice.randbytes(2) + b"\1\0\0\1\0\0\0\0\0\0\2fw\7example\3net\0\0\1\0\1"
    body = struct.pack(">HHHH", 50000 + number % 999, 53, 8 + len(query), 0) + query
    body = body if udp else struct.pack(">HHIIHHHH", 50001, 443, number, number, 0x5010, 512, 0, 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, 17 if udp else 6, 0)
    head = ethernet + b"\x08\x00" + head + bytes([10, 7, 255, 1, 10, 7, 255, 2])
    return (head + body).ljust(60, b"\0")


def capture(packets: int, *, devices: int = 100, seed: int = 1) -> Iterator[bytes]:
    """The file in pieces: a classic pcap of Ethernet frames, in the order of time."""
    dice = random.Random(seed)
    image = dice.randbytes(1 << 20)
    everybody = [Device(one, seed, max(4, packets // devices * 2 // 5 - 20), image) for one in range(devices)]
    lives = [one.events() for one in everybody]
    waiting = [(when, at, by_server, message) for at, (when, by_server, message) in enumerate(map(next, lives))]
    heapq.heapify(waiting)
    yield _PCAP_HEAD
    for number in range(packets):
        when, at, by_server, message = waiting[0]
        if dice.random() < 0.01:
            frame = _noise(dice, number)
        else:
            frame = everybody[at].frame(by_server, message)
            later, from_server, following = next(lives[at])
            heapq.heapreplace(waiting, (max(when, later), at, from_server, following))
        micro = int(when * 1e6)
        yield struct.pack("<IIII", START + micro // 10**6, micro % 10**6, len(frame), len(frame)) + frame


def write_capture(path: pathlib.Path, packets: int, *, devices: int = 100, seed: int = 1) -> None:
    """Write it, and move it into place once it is whole."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as out:
        out.writelines(capture(packets, devices=devices, seed=seed))
    beside.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("--packets", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_capture(options.path, options.packets, devices=options.devices, seed=options.seed)
