"""Peers that say what is written down for them: captures from lines of messages.

A script has one datagram a line, and short words for what is not its point::

    register                                              the device registers, from a new port
    server > device  CON PUT /5/0/0 1:0/1/1024 cf=42      1024 bytes of the image, as the block says
    device > server  ACK 2.31 1:0/1/1024                  message id and token of what it answers
    server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 mid=7 token=ab 200B lost
    +2.5 server > device  again                           the last datagram of this sender, byte by byte
    device > server  ICMP port-unreachable                quotes the last datagram the other way
    device > server:5684  HELLO                           a ClientHello of DTLS
    push 2-7 size=512                                     blocks with their answers; whole without a range
    download /fw.bin changed=1                            by HTTP; a segment comes again, with other bytes

``+2.5`` waits that many seconds; otherwise a datagram comes 50 ms after the one before it. ``lost`` is sent and not
captured. ``#`` begins a comment.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import shlex
import struct
from collections.abc import Iterable
from typing import Any

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Block, Message, Options, decode, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.talks import Talk

DEVICE, SERVER, REPOSITORY = ("192.0.2.2", 50000), ("192.0.2.1", 5683), ("192.0.2.3", 5683)
Address = tuple[str, int]
METHODS = {"GET": "0.01", "POST": "0.02", "PUT": "0.03", "DELETE": "0.04", "FETCH": "0.05", "PATCH": "0.06",
           "iPATCH": "0.07"}  # fmt: skip
#: Options by the words of a script; the value is a number.
NUMBERS = {"observe": 6, "content_format": 12, "cf": 12, "accept": 17, "block2": 23, "block1": 27, "size2": 28,
           "size1": 60}  # fmt: skip
#: Options by the words of a script; the value is in hex.
HEX = {"if-match": 1, "etag": 4, "echo": 252, "tag": 292}
ICMP = {"host-unreachable": (3, 1), "port-unreachable": (3, 3), "too-big": (3, 4), "time-exceeded": (11, 0)}

#: A DTLS 1.2 ClientHello that offers TLS_PSK_WITH_AES_128_CCM_8.
_CLIENT_HELLO = bytes.fromhex("fefd") + bytes(32) + bytes.fromhex("00 00 0002c0a8 0100")
HELLO = (
    struct.pack("!B2sHHIH", 22, b"\xfe\xff", 0, 0, 0, 12 + len(_CLIENT_HELLO))
    + struct.pack(
        "!B3sH3s3s", 1, len(_CLIENT_HELLO).to_bytes(3, "big"), 0, bytes(3), len(_CLIENT_HELLO).to_bytes(3, "big")
    )
    + _CLIENT_HELLO
)


def number(value: int) -> bytes:
    """A number as an option's value."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


@functools.cache
def image(size: int = 3000, version: str = "2.1.0") -> bytes:
    """An image that says its version."""
    return lab.image(version=version, size=size).data


def icmp_packet(source: Address, target: Address, kind: tuple[int, int], quoted: bytes) -> bytes:
    """An IP packet around an ICMP error that quotes another packet."""
    body = struct.pack("!BBHI", *kind, 0, 0) + quoted[:548]
    sender, receiver = (ipaddress.ip_address(host).packed for host, _ in (source, target))
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0) + sender + receiver + body


class Session:
    """Messages of one device, its server and a repository; each exchange takes a tenth of a second."""

    def __init__(self, script: str = "") -> None:
        self.packets: list[Packet] = []
        self.now, self.mid, self.device = 1_700_000_000.0, 100, DEVICE
        self.observed: dict[str, bytes] = {}
        self.image, self.sequence = image(), 1
        #: The last datagram from one address to another, and the last request.
        self.last: dict[tuple[Address, Address], Message] = {}
        self.asked: dict[tuple[Address, Address], Message] = {}
        self.script(script)

    def wait(self, seconds: float) -> Session:
        """Let time pass."""
        self.now += seconds
        return self

    def say(self, source: Address, target: Address, message: Message, *, lost: bool = False) -> int:
        """One datagram; returns its frame number."""
        self.last[source, target] = message
        if message.code.startswith("0.") and message.code != "0.00":
            self.asked[source, target] = message
        if not lost:
            self.packets.append(Packet(round(self.now * 10**9), udp_packet(source, target, encode(message))))
        self.now += 0.05
        return len(self.packets)

    # ---------------------------------------------------------------- scripts

    def script(self, text: str) -> Session:
        """Say what the lines of a script say."""
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].startswith("+"):
                self.wait(float(words.pop(0)))
            if len(words) > 2 and words[1] == ">":
                self._datagram(self._address(words[0]), self._address(words[2]), words[3:])
            elif words:
                positional = [word for word in words[1:] if not re.match(r"\w+=", word)]
                getattr(self, f"do_{words[0].replace('-', '_')}")(
                    *positional, **dict(word.split("=", 1) for word in words[1:] if word not in positional)
                )
        return self

    def _address(self, name: str) -> Address:
        name, _, port = name.partition(":")
        known = {"device": self.device, "server": SERVER, "repository": REPOSITORY}
        host, usual = known.get(name, (name, 5683))
        return host, int(port or usual)

    def _datagram(self, source: Address, target: Address, words: list[str]) -> None:
        if words[0] == "ICMP":
            quoted = udp_packet(target, source, encode(self.last[target, source]))
            packet = icmp_packet(source, target, ICMP[words[1]], quoted)
            self.packets.append(Packet(round(self.now * 10**9), packet))
            self.now += 0.05
            return
        if words == ["HELLO"]:
            self.packets.append(Packet(round(self.now * 10**9), udp_packet(source, target, HELLO)))
            self.now += 0.05
            return
        lost = "lost" in words
        words = [word for word in words if word != "lost"]
        message = self.last[source, target] if words == ["again"] else self._message(source, target, words)
        self.say(source, target, message, lost=lost)

    def _message(self, source: Address, target: Address, words: list[str]) -> Message:
        """The message of one line; message id and token are those of what it answers, or new ones."""
        kind, words = words[0], words[1:]
        code = METHODS.get(words[0], words[0]) if words and re.fullmatch(r"[A-Za-z]+|\d\.\d\d", words[0]) else "0.00"
        words = words if code == "0.00" and words[:1] != ["0.00"] else words[1:]
        said = dict(word.split("=", 1) for word in words if re.match(r"(mid|token|for)=", word))
        answered = self.last.get((target, source))
        if "mid" in said:
            mid = int(said["mid"])
        elif kind in ("ACK", "RST") and answered is not None:
            mid = answered.mid
        else:
            self.mid += 1
            mid = self.mid
        if code == "0.00":
            token = b""
        elif code.startswith("0."):
            token = mid.to_bytes(2, "big")
        else:
            token = self.asked[target, source].token if (target, source) in self.asked else b""
        token = self.observed[said["for"]] if "for" in said else bytes.fromhex(said.get("token", token.hex()))
        options, payload = self._content([word for word in words if not re.match(r"(mid|token|for)=", word)])
        message = Message(kind, code, mid, token, options, payload)  # type: ignore[arg-type]
        if (6, b"") in options and code == "0.01":
            self.observed[str(message.uri_path)] = token
        return message

    def _content(self, words: list[str]) -> tuple[Options, bytes]:
        """Options and payload."""
        options: list[tuple[int, bytes]] = []
        payload, at = b"", 0
        for word in words:
            name, _, value = word.partition("=")
            block = re.fullmatch(r"([12]):(\d+)/([01])/(\d+)", word)
            if block:
                which, num, more, size = map(int, block.groups())
                szx = 7 if size == 2048 else size.bit_length() - 5
                options.append((27 if which == 1 else 23, number(num << 4 | more << 3 | szx)))
                at = num * size
            elif word.startswith("/"):
                options += [(11, part.encode()) for part in word.strip("/").split("/") if part]
            elif word.startswith("?"):
                options += [(15, part.encode()) for part in word[1:].split("&")]
            elif name in NUMBERS:
                options.append((NUMBERS[name], number(int(value))))
            elif name in HEX:
                options.append((HEX[name], bytes.fromhex(value)))
            elif re.fullmatch(r"opt\d+=.*", word):
                options.append((int(name[3:]), bytes.fromhex(value)))
            elif re.fullmatch(r"\d+B", word):
                payload = (self.image[at:] + bytes(1 << 20))[: int(word[:-1])]
            elif name == "text":
                payload = value.encode()
            elif name == "hex":
                payload = bytes.fromhex(value)
            else:
                raise ValueError(f"a peer cannot say {word!r}")
        return tuple(sorted(options, key=lambda one: one[0])), payload

    # ---------------------------------------------------------------- words of a script that are no datagram

    def do_register(self, **options: str) -> None:
        """register [version=1.1] [lwm2m=1.1] [b=UQ]."""
        self.register(**options)

    def do_ready(self) -> None:
        """Registered, observed, running 1.0.0."""
        self.register()
        self.observe("/5/0/3", 0)
        self.observe("/5/0/5", 0)
        self.read("/3/0/3", "1.0.0")

    def do_wait(self, seconds: str) -> None:
        """wait 30."""
        self.wait(float(seconds))

    def do_image(self, size: str, version: str = "2.1.0") -> None:
        """image 3000 2.1.0: what is pushed from here on; `raw` for bytes that say no version."""
        self.image = bytes(range(251)) * (int(size) // 251 + 1) if version == "raw" else image(int(size), version)
        self.image = self.image[: int(size)]

    def do_push(self, blocks: str = "", *, size: str = "1024", final: str = "2.04") -> None:
        """push [FROM-TO] [size=1024] [final=2.04]."""
        self.push(self.image, szx=int(size).bit_length() - 5, final=final, which=_range(blocks))

    def do_pull(
        self, path: str, blocks: str = "", *, size: str = "1024", at: str = "repository", etag: str = ""
    ) -> None:
        """pull /fw.bin [FROM-TO] [size=1024] [at=repository] [etag=aa]."""
        count = -(-len(self.image) // int(size))
        for num in [one for one in _range(blocks) or range(count) if one < count]:
            more = int(num + 1 < count)
            length = min(int(size), len(self.image) - num * int(size))
            tag = f"etag={etag}" if etag else ""
            self.script(f"device > {at} CON GET {path} 2:{num}/0/{size}")
            self.script(f"{at} > device ACK 2.05 2:{num}/{more}/{size} {tag} {length}B")

    def do_download(self, path: str, *, changed: str = "0") -> None:
        """download /fw.bin [changed=1]: by HTTP, the second segment sent twice, and changed on its way again."""
        talk = Talk(self.packets, client=(self.device[0], 41000), server=(REPOSITORY[0], 8080), now=self.now).open()
        talk.asks(f"GET {path} HTTP/1.1\r\nHost: {REPOSITORY[0]}:8080\r\n\r\n".encode())
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.image) + self.image
        talk.answers(answer[:2000])
        again = bytearray(answer[1000:2000])
        again[500] ^= int(changed)
        talk.now += 1
        talk.segment(1, bytes(again), at=1000)
        talk.answers(answer[2000:]).close()
        self.now = talk.now

    def do_read(self, path: str, value: str, *, code: str = "2.05") -> None:
        """read /5/0/3 2."""
        self.read(path, value, code=code)

    def do_observe(self, path: str, value: str) -> None:
        """observe /5/0/3 0."""
        self.observe(path, value)

    def do_notify(self, path: str, value: str, *, sequence: str = "") -> None:
        """notify /5/0/3 2."""
        self.notify(path, value, sequence=int(sequence) if sequence else None)

    def do_execute(self, path: str = "/5/0/2", *, code: str = "2.04") -> None:
        """execute [/5/0/2] [code=none]."""
        self.execute(path, None if code == "none" else code)

    def do_uri(self, uri: str, *, code: str = "2.04") -> None:
        """uri coap://192.0.2.3/fw.bin: a Write of the Package URI."""
        self.exchange("0.03", "/5/0/1", code, payload=uri.encode(), content_format=0)

    def do_installed(self, version: str = "2.1.0", result: str = "1", state: str = "0") -> None:
        """State 2 told, executed, rebooted, registered, and everything read."""
        self.notify("/5/0/3", 2)
        self.execute()
        self.notify("/5/0/3", 3)
        self.wait(10).register()
        self.read("/5/0/3", state)
        self.read("/5/0/5", result)
        if version != "unread":
            self.read("/3/0/3", version)

    # ---------------------------------------------------------------- the same in Python

    def exchange(
        self, method: str, path: str, code: str | None, *, payload: bytes = b"", answer: bytes = b"",
        from_device: bool = False, queries: tuple[str, ...] = (), copies: int = 1, answer_format: int | None = None,
        **options: int | Block,
    ) -> int:  # fmt: skip
        """A request and its answer (None: none); returns the frame of the request."""
        self.mid += 1
        token = self.mid.to_bytes(2, "big")
        source, target = (self.device, SERVER) if from_device else (SERVER, self.device)
        said = [(11, part.encode()) for part in path.strip("/").split("/") if part]
        said += [(15, query.encode()) for query in queries]
        for name, value in options.items():
            raw = number(value.num << 4 | value.more << 3 | value.szx) if isinstance(value, Block) else number(value)
            said.append((NUMBERS[name], raw))
        request = Message("CON", method, self.mid, token, tuple(sorted(said, key=lambda one: one[0])), payload)
        first = self.say(source, target, request)
        for _ in range(copies - 1):
            self.wait(2.5).say(source, target, request)
        if code is not None:
            back = [(27, dict(said)[27])] if 27 in dict(said) else []
            back += [(6, b"\x01")] if options.get("observe") == 0 else []
            back += [(12, number(answer_format))] if answer_format is not None else []
            back += [(8, b"rd"), (8, b"1")] if code == "2.01" else []
            ack = Message("ACK", code, self.mid, token, tuple(sorted(back, key=lambda one: one[0])), answer)
            self.say(target, source, ack)
        return first

    def register(self, *, version: str | None = "1.1", lwm2m: str = "1.1", code: str = "2.01", b: str = "U") -> int:
        """Register from a new port, as after a boot."""
        self.device = (self.device[0], self.device[1] + 1)
        ver = f";ver={version}" if version else ""
        links = f"</3/0>,</5>{ver},</5/0>".encode()
        queries = ("ep=dev-1", f"lwm2m={lwm2m}", "lt=300", f"b={b}")
        return self.exchange("0.02", "/rd", code, payload=links, from_device=True, queries=queries, content_format=40)

    def read(self, path: str, value: Any, *, code: str = "2.05") -> int:
        """Read a resource as text."""
        return self.exchange("0.01", path, code, answer=str(value).encode() if code == "2.05" else b"", answer_format=0)

    def observe(self, path: str, value: Any) -> int:
        """Observe a resource."""
        frame = self.exchange("0.01", path, "2.05", answer=str(value).encode(), observe=0, answer_format=0)
        self.observed[path] = self.mid.to_bytes(2, "big")
        return frame

    def notify(self, path: str, value: Any, *, sequence: int | None = None) -> int:
        """Tell an observed value."""
        self.mid += 1
        self.sequence = self.sequence + 1 if sequence is None else sequence
        options = ((6, number(self.sequence)), (12, b""))
        frame = self.say(
            self.device, SERVER, Message("CON", "2.05", self.mid, self.observed[path], options, str(value).encode())
        )
        self.say(SERVER, self.device, Message("ACK", "0.00", self.mid))
        return frame

    def push(
        self, image: bytes, *, szx: int = 6, final: str | None = "2.04", upto: int | None = None,
        which: Iterable[int] | None = None,
    ) -> int:  # fmt: skip
        """Write the package block by block; returns the first frame."""
        size = 16 << szx
        parts = [image[at : at + size] for at in range(0, len(image), size)]
        first = 0
        for at in [one for one in (which or range(len(parts))) if one < len(parts)][:upto]:
            more = at + 1 < len(parts)
            frame = self.exchange(
                "0.03",
                "/5/0/0",
                "2.31" if more else final,
                payload=parts[at],
                content_format=42,
                block1=Block(at, more, szx),
            )
            first = first or frame
        return first

    def execute(self, path: str = "/5/0/2", code: str | None = "2.04") -> int:
        """Execute a resource."""
        return self.exchange("0.02", path, code)

    def capture(self) -> lab.Capture:
        """All of it, read."""
        data = pcapng_bytes(self.packets, interfaces=[Interface("server")])
        return lab.Capture.from_bytes(data, name="session")

    def transcript(self) -> str:
        """What was captured, message by message."""
        return "\n".join(str(decode(packet.data[28:])) for packet in self.packets)


def _range(text: str) -> range | None:
    """``2-7`` as a range; None for everything."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1) if text else None
