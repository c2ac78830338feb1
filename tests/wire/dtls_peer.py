"""A writer of DTLS 1.2 sessions with a pre-shared key, for what openssl does not do: Connection IDs, odd flights.

It shares nothing with the reader but `cryptography`; that tshark opens what it writes is tested.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

KEY, IDENTITY = bytes.fromhex("00112233445566778899aabbccddeeff"), "urn:dev:peer"
CCM_8, CCM, GCM, CBC = 0xC0A8, 0xC0A4, 0x00A8, 0x00AE
CLIENT, SERVER = "client", "server"
Address = tuple[str, int]
#: A datagram, and who sends it.
Flight = tuple[str, bytes]


def p_sha256(secret: bytes, label: str, seed: bytes, count: int) -> bytes:
    """The PRF of TLS 1.2."""
    blocks, link = [], label.encode() + seed
    first = link
    for _ in range(-(-count // 32)):
        link = hmac.new(secret, link, hashlib.sha256).digest()
        blocks.append(hmac.new(secret, link + first, hashlib.sha256).digest())
    return b"".join(blocks)[:count]


def extension(number: int, data: bytes) -> bytes:
    """One extension of a hello."""
    return struct.pack("!HH", number, len(data)) + data


@dataclass
class DtlsPeer:
    """Both sides of one session; `packets` is what is on the wire."""

    suite: int = CCM_8
    identity: str = IDENTITY
    key: bytes = KEY
    #: The Connection ID that each side wants to receive; None: no extension.
    client_cid: bytes | None = None
    server_cid: bytes | None = None
    ems: bool = True
    etm: bool = False
    hint: bytes | None = None
    #: 54 is RFC 9146; 53 its drafts, which authenticate other bytes.
    cid_extension: int = 54
    seed: int = 1
    #: Where each side is; a device that moves gets another address.
    addresses: dict[str, Address] = field(
        default_factory=lambda: {CLIENT: ("192.0.2.2", 40000), SERVER: ("192.0.2.1", 5684)}
    )
    packets: list[Packet] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = {side: hashlib.sha256(f"{side}{self.seed}".encode()).digest() for side in (CLIENT, SERVER)}
        self.sequence = {(side, epoch): 0 for side in (CLIENT, SERVER) for epoch in (0, 1)}
        self.transcript = b""
        self.master = b""

    # ------------------------------------------------------------ records

    def plain(self, side: str, kind: int, content: bytes) -> bytes:
        """A record of epoch 0."""
        return struct.pack("!BHH", kind, 0xFEFD, 0) + self._next(side, 0) + struct.pack("!H", len(content)) + content

    def sealed(self, side: str, kind: int, content: bytes, *, padding: int = 0) -> bytes:
        """A record of epoch 1, in the form that the negotiated Connection ID asks for."""
        other = self.server_cid if side == CLIENT else self.client_cid
        cid = other if self.client_cid is not None and self.server_cid is not None else None
        head = b"\0\1" + self._next(side, 1)
        if cid:
            kind, content = 25, content + bytes([kind]) + bytes(padding)
        nonce_part = head

        def covered(length: int) -> bytes:
            if not cid:
                return head + struct.pack("!BHH", kind, 0xFEFD, length)
            if self.cid_extension == 53:
                return head + b"\x19\xfe\xfd" + cid + struct.pack("!BH", len(cid), length)
            mark = b"\xff" * 8 + bytes([25, len(cid), 25])
            return mark + b"\xfe\xfd" + head + cid + struct.pack("!H", length)

        mac_key, key, iv = self._keys(side)
        if self.suite == CBC:
            fragment = self._cbc(covered, mac_key, key, content)
        else:
            aead = AESGCM(key) if self.suite == GCM else AESCCM(key, tag_length=8 if self.suite == CCM_8 else 16)
            fragment = nonce_part + aead.encrypt(iv + nonce_part, content, covered(len(content)))
        return struct.pack("!BH", kind, 0xFEFD) + head + (cid or b"") + struct.pack("!H", len(fragment)) + fragment

    def _cbc(self, covered, mac_key: bytes, key: bytes, content: bytes) -> bytes:  # type: ignore[no-untyped-def]
        iv = hashlib.sha256(content + mac_key).digest()[:16]
        if not self.etm:
            content += hmac.new(mac_key, covered(len(content)) + content, hashlib.sha256).digest()
        fill = 15 - len(content) % 16
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        body = iv + encryptor.update(content + bytes([fill]) * (fill + 1)) + encryptor.finalize()
        if self.etm:
            body += hmac.new(mac_key, covered(len(body)) + body, hashlib.sha256).digest()
        return body

    def _keys(self, side: str) -> tuple[bytes, bytes, bytes]:
        mac, iv = (32, 0) if self.suite == CBC else (0, 4)
        block = p_sha256(self.master, "key expansion", self.random[SERVER] + self.random[CLIENT], 2 * (mac + 16 + iv))
        at = 0 if side == CLIENT else 1
        keys = block[2 * mac :]
        return block[mac * at :][:mac], keys[16 * at :][:16], keys[32 + iv * at :][:iv]

    def _next(self, side: str, epoch: int) -> bytes:
        number = self.sequence[side, epoch]
        self.sequence[side, epoch] += 1
        return number.to_bytes(6, "big")

    # ------------------------------------------------------------ handshake

    def hello(self, side: str, cookie: bytes | None = None) -> bytes:
        """The body of a hello."""
        body = b"\xfe\xfd" + self.random[side] + (b"\0" if side == CLIENT else b"\4sess")
        if side == CLIENT:
            body += bytes([len(cookie or b"")]) + (cookie or b"") + struct.pack("!HHH", 4, self.suite, 0x00FF) + b"\1\0"
        else:
            body += struct.pack("!HB", self.suite, 0)
        cid = self.client_cid if side == CLIENT else self.server_cid
        extensions = extension(23, b"") if self.ems else b""
        extensions += extension(22, b"") if self.etm else b""
        extensions += extension(self.cid_extension, bytes([len(cid)]) + cid) if cid is not None else b""
        return body + struct.pack("!H", len(extensions)) + extensions

    def message(self, kind: int, number: int, body: bytes, *, covered: bool = True) -> bytes:
        """A handshake message, whole, that goes into the transcript."""
        size = len(body).to_bytes(3, "big")
        whole = bytes([kind]) + size + struct.pack("!H", number) + bytes(3) + size + body
        self.transcript += whole if covered else b""
        return whole

    def handshake(self, *, cookie: bool = True, fragment: int = 65536, apart: bool = False) -> list[Flight]:
        """The datagrams of a whole handshake; messages in fragments, each in a datagram of its own if `apart`."""
        flights: list[tuple[str, list[tuple[int, bytes] | None]]] = []
        first = self.message(1, 0, self.hello(CLIENT), covered=not cookie)
        flights.append((CLIENT, [(22, first)]))
        number = 0
        if cookie:
            verify = self.message(3, 0, b"\xfe\xff\x08cookie!!", covered=False)
            again = self.message(1, 1, self.hello(CLIENT, b"cookie!!"))
            flights += [(SERVER, [(22, verify)]), (CLIENT, [(22, again)])]
            number = 1
        said = [(22, self.message(2, number, self.hello(SERVER)))]
        if self.hint is not None:
            said.append((22, self.message(12, number + 1, struct.pack("!H", len(self.hint)) + self.hint)))
        done = number + len(said)
        said.append((22, self.message(14, done, b"")))
        flights.append((SERVER, [*said]))
        identity = self.identity.encode()
        exchange = self.message(16, number + 1, struct.pack("!H", len(identity)) + identity)
        self._make_master()
        finished = self._finished(CLIENT, number + 2)
        flights.append((CLIENT, [(22, exchange), (20, b"\1"), (1022, finished)]))
        finished = self._finished(SERVER, done + 1)
        flights.append((SERVER, [(20, b"\1"), (1022, finished)]))
        return [datagram for side, parts in flights for datagram in self._datagrams(side, parts, fragment, apart)]

    def _datagrams(
        self, side: str, parts: Iterable[tuple[int, bytes] | None], fragment: int, apart: bool
    ) -> list[Flight]:
        records = []
        for part in parts:
            assert part is not None
            kind, content = part
            if kind == 1022:
                records.append(self.sealed(side, 22, content))
            elif kind == 22:
                records += [self.plain(side, 22, piece) for piece in pieces(content, fragment)]
            else:
                records.append(self.plain(side, kind, content))
        return [(side, record) for record in records] if apart else [(side, b"".join(records))]

    def _make_master(self) -> None:
        size = struct.pack("!H", len(self.key))
        premaster = size + bytes(len(self.key)) + size + self.key
        if self.ems:
            seed = hashlib.sha256(self.transcript).digest()
            self.master = p_sha256(premaster, "extended master secret", seed, 48)
        else:
            self.master = p_sha256(premaster, "master secret", self.random[CLIENT] + self.random[SERVER], 48)

    def _finished(self, side: str, number: int) -> bytes:
        digest = hashlib.sha256(self.transcript).digest()
        return self.message(20, number, p_sha256(self.master, f"{side} finished", digest, 12))

    # ------------------------------------------------------------ the wire

    def put(self, side: str, datagram: bytes, *, source: Address | None = None) -> int:
        """Put a datagram on the wire; returns its frame."""
        other = SERVER if side == CLIENT else CLIENT
        packet = udp_packet(source or self.addresses[side], self.addresses[other], datagram)
        self.packets.append(Packet(1_700_000_000_000_000_000 + len(self.packets) * 1_000_000, packet))
        return len(self.packets)

    def connect(self) -> DtlsPeer:
        """Put a whole handshake on the wire."""
        for side, datagram in self.handshake():
            self.put(side, datagram)
        return self

    def say(self, side: str, content: bytes, *, source: Address | None = None) -> int:
        """Put application data on the wire."""
        return self.put(side, self.sealed(side, 23, content), source=source)

    def capture(self) -> bytes:
        """What is on the wire, as a file."""
        return capture_of(self.packets)


def pieces(message: bytes, size: int) -> list[bytes]:
    """A handshake message in fragments."""
    head, body = message[:6], message[12:]
    return [
        head + at.to_bytes(3, "big") + len(body[at : at + size]).to_bytes(3, "big") + body[at : at + size]
        for at in range(0, max(len(body), 1), size)
    ]


def capture_of(packets: list[Packet]) -> bytes:
    """Packets as a file."""
    return pcapng_bytes(packets, interfaces=[Interface()])


def main() -> None:
    """Write one session, for a look with other tools."""
    peer = DtlsPeer(client_cid=b"", server_cid=b"cid").connect()
    peer.say(CLIENT, bytes.fromhex("40010001b135"))
    os.write(1, peer.capture())


if __name__ == "__main__":
    main()
