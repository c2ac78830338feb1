"""DTLS in a capture: each record to its session, and what it carries where a key opens it.

A session is found by the two addresses, and one with a Connection ID (RFC 9146) by that, wherever its records come
from. Whose a record is, its authentication tells. What nobody proved with a key is remembered within bounds: a flood of
made-up handshakes costs a bounded amount of memory and forgets nothing that was opened.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.dtls_handshake import (
    CLIENT,
    CLIENT_HELLO,
    FINISHED,
    NOT_COVERED,
    SERVER,
    SERVER_HELLO,
    SESSION_TICKET,
    Assembly,
    Handshake,
    read_hello,
)  # fmt: skip
from lwm2m_lab.wire.dtls_keys import CID_RECORD, Record
from lwm2m_lab.wire.dtls_memory import Remembered, Shelf
from lwm2m_lab.wire.dtls_sessions import MOST_PENDING, DtlsSession, Seen, Session
from lwm2m_lab.wire.flows import COAPS_PORT, Flows
from lwm2m_lab.wire.gather import SLACK
from lwm2m_lab.wire.keyring import Keyring
from lwm2m_lab.wire.packets import Datagrams
from lwm2m_lab.wire.records import Ints, Records

__all__ = ["Decryption", "Opened"]

_HEADER = 13
#: Bytes of an address with its port.
_ADDRESS = 18
_ALERT, _HANDSHAKE, _APPLICATION_DATA = 21, 22, 23
#: Handshakes in progress, and sides of one with pieces of a message missing.
MOST_HANDSHAKES, MOST_ASSEMBLIES = 1024, 256
MOST_NOTES = 8


@dataclass(frozen=True, slots=True)
class Opened:
    """Application data of one record."""

    seen: Seen
    session: Session
    data: bytes


class Decryption:
    """Follows the DTLS sessions of a capture.

    Parameters
    ----------
    keyring : Keyring

    Attributes
    ----------
    records, decrypted : int
        Records of epoch 1 and later, and how many of them were opened.
    carried : list of Session
        The session of each datagram that `window` gave back.
    """

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.records = self.decrypted = 0
        self.carried: list[Session] = []
        self._sessions: Remembered[Session] = Remembered()
        self._flows: Remembered[Shelf] = Remembered()
        self._cids: Remembered[Shelf] = Remembered()
        self._resumable: Remembered[Session] = Remembered()
        self._cid_lengths: set[int] = set()
        self._in_progress: OrderedDict[int, Session] = OrderedDict()
        self._assemblies: OrderedDict[tuple[bytes, bytes, int], Assembly] = OrderedDict()
        self._opened: list[Opened] = []
        self._count = 0

    def datagram(self, seen: Seen, data: bytes) -> None:
        """Take the records of one datagram."""
        at = 0
        while at + _HEADER <= len(data) and 20 <= data[at] <= CID_RECORD and data[at + 1 : at + 3] in _VERSIONS:
            if data[at] == CID_RECORD or data[at + 3 : at + 5] != b"\0\0":
                at = self._sealed(seen, data, at)
            else:
                record, at, _ = _split(data, at, 0)
                self._plain(seen, record)

    def window(self, records: Records, found: Datagrams, chosen: Ints, flows: Flows) -> tuple[Records, Datagrams]:
        """Take these datagrams of a window; what they carry, as the window's own datagrams would be."""
        sources, destinations = (ends.tobytes() for ends in flows.ends(found.flow[chosen]))
        frames, times = records.frame[found.row[chosen]].tolist(), records.time_ns[found.row[chosen]].tolist()
        bounds = zip(found.start[chosen].tolist(), found.end[chosen].tolist(), strict=True)
        for number, (start, end) in enumerate(bounds):
            ends = slice(_ADDRESS * number, _ADDRESS * (number + 1))
            seen = Seen(frames[number], times[number], sources[ends], destinations[ends])
            self.datagram(seen, found.data[start:end].tobytes())
        opened, self._opened = self._opened, []
        self.carried += [one.session for one in opened]
        return _as_window(opened, flows)

    # ------------------------------------------------------------ records in the clear

    def _plain(self, seen: Seen, record: Record) -> None:
        flow = self._flow(seen)
        if record.kind == _HANDSHAKE:
            self._handshake(seen, 0, record.fragment)
        elif record.kind == _ALERT and len(record.fragment) == 2 and flow is not None and flow.sessions:
            session, client = flow.sessions[0]
            session.alert(
                record.fragment[0], record.fragment[1], CLIENT if seen.source == client else SERVER, seen.frame
            )
            session.last_frame = seen.frame

    def _handshake(self, seen: Seen, epoch: int, content: bytes) -> None:
        """Take the handshake messages of a record of the epoch in which they are said."""
        key = seen.source, seen.destination, epoch
        assembly = self._assemblies.pop(key, None) or Assembly()
        for kind, number, body in assembly.add(content):
            if kind == CLIENT_HELLO:
                self._client_hello(seen, epoch, number, body)
            else:
                self._handshake_message(seen, epoch, kind, number, body)
        if assembly.parts:
            self._assemblies[key] = assembly
            if len(self._assemblies) > MOST_ASSEMBLIES:
                self._assemblies.popitem(last=False)

    def _client_hello(self, seen: Seen, epoch: int, number: int, body: bytes) -> None:
        """Begin a session, or go on with the one whose client random this is."""
        hello = read_hello(body, is_client=True)
        if hello is None:
            return
        flow = self._flow(seen)
        for session, client in flow.sessions if flow is not None else ():
            if (session.client_random, client, session.epoch) == (hello.random, seen.source, epoch + 1):
                break
        else:
            session = self._begin(seen, seen.source, epoch + 1)
            session.handshake, session.client_random = Handshake(hello), hello.random
            self._in_progress[id(session)] = session
            if len(self._in_progress) > MOST_HANDSHAKES:
                self._give_up(next(iter(self._in_progress.values())))
        if session.handshake is not None:
            session.handshake.add(CLIENT, CLIENT_HELLO, number, body)
            session.last_frame = seen.frame

    def _handshake_message(self, seen: Seen, epoch: int, kind: int, number: int, body: bytes) -> None:
        """A message goes to the newest handshake between the two that is said in this epoch."""
        if kind in NOT_COVERED:
            return
        flow = self._flow(seen)
        for session, client in flow.sessions if flow is not None else ():
            shake = session.handshake
            if shake is None or session.epoch != epoch + 1:
                continue
            side = CLIENT if seen.source == client else SERVER
            shake.add(side, kind, number, body)
            session.last_frame = seen.frame
            if kind == SERVER_HELLO and side == SERVER:
                self._answered(session, shake)
            session.learn(self.keyring)
            self._index(session, shake)
            self._retry(session)
            return

    def _answered(self, session: Session, shake: Handshake) -> None:
        """With the ServerHello it shows which earlier session this one may go on with."""
        hello, ticket = shake.server_hello, shake.hello.extensions.get(SESSION_TICKET)
        if hello is None:
            return
        if hello.session_id and hello.session_id == shake.hello.session_id:
            session.origin = self._resumable.get(hello.session_id)
        if session.origin is None and ticket:
            session.origin = self._resumable.get(hashlib.sha256(ticket).digest() + b"ticket")
        if session.origin is session:
            session.origin = None

    def _index(self, session: Session, shake: Handshake) -> None:
        """Make a session known by its Connection IDs, its session id and its ticket."""
        for side in (CLIENT, SERVER):
            cid = session.cid(side)
            if cid:
                shelf = self._cids.get(cid) or Shelf()
                if not any(one is session for one, _ in shelf.sessions):
                    shelf.add(session, side)
                    self._cids.put(cid, shelf)
                self._cid_lengths.add(len(cid))
        hello = shake.server_hello
        keys = [hello.session_id] if hello is not None and hello.session_id and session.origin is None else []
        if shake.ticket:
            keys.append(hashlib.sha256(shake.ticket).digest() + b"ticket")
        for key in keys:
            if self._resumable.get(key) is not session:
                self._resumable.put(key, session)

    def _retry(self, session: Session) -> None:
        """Open what came before its keys could be made."""
        pending, session.pending = session.pending, []
        for seen, side, record in pending:
            content = session.open(record, side)
            if content is None:
                session.pending.append((seen, side, record))
            else:
                self._content(seen, session, side, record, content)

    def _give_up(self, session: Session) -> None:
        """Let the messages of a handshake go."""
        self._in_progress.pop(id(session), None)
        session.handshake = None
        session.pending.clear()

    # ------------------------------------------------------------ records under keys

    def _sealed(self, seen: Seen, data: bytes, at: int) -> int:
        """Take a record of epoch 1 or later; returns where the next one begins."""
        self.records += 1
        first = None
        for session, side, width in self._choices(seen, data, at):
            first = first or (session, side, width)
            record, following, whole = _split(data, at, width)
            content = session.open(record, side) if whole else None
            if content is not None:
                session.records += 1
                self._content(seen, session, side, record, content)
                return following
        session, side, width = first or (self._stranger(seen, data, at), CLIENT, 0)
        record, following, whole = _split(data, at, width)
        session.records += 1
        session.cut += not whole
        session.last_frame = max(session.last_frame, seen.frame)
        waiting = session.handshake is not None and not session.has_candidates
        if waiting and whole and len(session.pending) < MOST_PENDING:
            session.pending.append((seen, side, record))
        # The place of the length behind an unknown Connection ID is not in the record: the datagram ends with it.
        return following if first or data[at] != CID_RECORD else len(data)

    def _choices(self, seen: Seen, data: bytes, at: int) -> Iterator[tuple[Session, int, int]]:
        """Sessions that a record may belong to, the side that sent it, and the length of its Connection ID."""
        epoch = data[at + 3] << 8 | data[at + 4]
        flow, met = self._flow(seen), set()
        for session, client in flow.sessions if flow is not None else ():
            side = CLIENT if seen.source == client else SERVER
            cid = session.cid(side) if data[at] == CID_RECORD else b""
            if session.epoch == epoch and (bool(cid) == (data[at] == CID_RECORD)) and data.startswith(cid, at + 11):
                met.add(id(session))
                yield session, side, len(cid)
        if data[at] != CID_RECORD:
            return
        for length in sorted(self._cid_lengths):
            shelf = self._cids.get(data[at + 11 : at + 11 + length])
            for session, mark in shelf.sessions if shelf is not None else ():
                if session.epoch == epoch and id(session) not in met:
                    yield session, int(mark == SERVER), length

    def _stranger(self, seen: Seen, data: bytes, at: int) -> Session:
        """The session without handshake to which a record is counted."""
        epoch = data[at + 3] << 8 | data[at + 4]
        flow = self._flow(seen)
        for session, _ in flow.sessions if flow is not None else ():
            if session.epoch == epoch and not session.client_random:
                return session
        # Who is the client was not seen: the server is where coaps is, else at the lower port.
        port = [int.from_bytes(address[16:18], "big") for address in (seen.source, seen.destination)]
        to_server = port[1] == COAPS_PORT or (port[0] != COAPS_PORT and port[1] <= port[0])
        return self._begin(seen, seen.source if to_server else seen.destination, epoch)

    def _content(self, seen: Seen, session: Session, side: int, record: Record, content: bytes) -> None:
        """What an authentic record carries."""
        self.decrypted += 1
        session.decrypted += 1
        session.last_frame = max(session.last_frame, seen.frame)
        if session.is_replay(record, side):
            session.replayed += 1
            return
        kind = record.kind
        if kind == CID_RECORD:
            content = content.rstrip(b"\0")
            kind, content = (content[-1], content[:-1]) if content else (0, b"")
            self._follow(seen, session, side, record)
        if kind == _APPLICATION_DATA:
            self._opened.append(Opened(seen, session, content))
        elif kind == _ALERT and len(content) == 2:
            session.alert(content[0], content[1], side, seen.frame)
        elif kind == _HANDSHAKE:
            self._sealed_handshake(seen, session, side, content)

    def _sealed_handshake(self, seen: Seen, session: Session, side: int, content: bytes) -> None:
        """A Finished ends the session's own handshake; anything else is said in it and begins the next one."""
        if content[:1] != bytes([FINISHED]):
            self._handshake(seen, session.epoch, content)
            return
        shake = session.handshake
        for kind, number, body in Assembly().add(content) if shake is not None else ():
            assert shake is not None
            shake.add(side, kind, number, body)
            session.finish(side, body)
        if session.finished == {CLIENT, SERVER}:
            self._give_up(session)

    def _follow(self, seen: Seen, session: Session, side: int, record: Record) -> None:
        """A newer record from elsewhere moves the session there (RFC 9146, 6)."""
        flow = self._flow(seen)
        known = flow is not None and any(one is session for one, _ in flow.sessions)
        if not known and session.is_newest(record, side):
            self._shelve(seen, session, seen.source if side == CLIENT else seen.destination)

    # ------------------------------------------------------------ memory

    def _flow(self, seen: Seen) -> Shelf | None:
        return self._flows.get((min(seen.source, seen.destination), max(seen.source, seen.destination)))

    def _shelve(self, seen: Seen, session: Session, client: bytes) -> None:
        flow = self._flow(seen) or Shelf()
        flow.add(session, client)
        self._flows.put((min(seen.source, seen.destination), max(seen.source, seen.destination)), flow)

    def _begin(self, seen: Seen, client: bytes, epoch: int) -> Session:
        server = seen.destination if client == seen.source else seen.source
        session = Session(client, server, epoch, seen.frame)
        self._count += 1
        self._sessions.put(self._count, session)
        self._shelve(seen, session, client)
        return session

    # ------------------------------------------------------------ results

    def _in_order(self) -> list[Session]:
        return sorted(self._sessions.values(), key=lambda one: one.first_frame)

    def sessions(self) -> tuple[DtlsSession, ...]:
        """The sessions in the order of their first frames."""
        return tuple(one.public() for one in self._in_order())

    def key_log(self) -> tuple[str, ...]:
        """Lines that open again what was opened."""
        lines = (one.key_log for one in self._in_order())
        return tuple(dict.fromkeys(line for line in lines if line is not None))

    def numbers(self) -> NDArray[np.int32]:
        """Where the session of each datagram that was carried stands in `sessions`."""
        place = {id(one): number for number, one in enumerate(self._in_order())}
        return np.array([place[id(one)] for one in self.carried], np.int32)

    @property
    def encrypted(self) -> int:
        """Records of epoch 1 and later that were not opened."""
        return self.records - self.decrypted

    def are_coap(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Which messages are of a session that carries CoAP alone: all of it decodes, with a code that CoAP uses."""
        carried = columns["_carried"]
        session = np.append(self.numbers(), -1)[carried]
        damaged = (columns["error"] >= 0) | ~np.isin(columns["code"] >> 5, (0, 2, 4, 5))
        good: NDArray[np.bool_] = (carried >= 0) & ~np.isin(session, session[damaged])
        return good

    def notes(self) -> Iterator[str]:
        """What stayed closed, and why: sessions of the same identity, suite and reason in one sentence."""
        groups: dict[tuple[str | None, str | None, str], list[int]] = {}
        for one in self.sessions():
            if one.records > one.decrypted or not one.opened:
                group = groups.setdefault((one.identity, one.suite, one.reason), [0, 0])
                group[0] += 1
                group[1] += one.records - one.decrypted
        for (identity, suite, reason), (count, records) in [*groups.items()][:MOST_NOTES]:
            who = "a DTLS session" if count == 1 else f"{count} DTLS sessions"
            who += "" if identity is None else f" of identity {identity!r}"
            who += "" if suite is None else f" with {suite}"
            yield f"{who}, {records} records encrypted: {reason}"
        if len(groups) > MOST_NOTES:
            yield f"{len(groups) - MOST_NOTES} more kinds of DTLS session stayed closed"
        if self._sessions.forgotten:
            yield f"{self._sessions.forgotten} more DTLS sessions that no key opened were not followed"


def _as_window(opened: list[Opened], flows: Flows) -> tuple[Records, Datagrams]:
    """Application data as datagrams of a window of their own."""
    data = np.frombuffer(b"".join(one.data for one in opened) + bytes(SLACK), np.uint8)
    end = np.cumsum([0, *(len(one.data) for one in opened)]).astype(np.int64)
    frame = np.array([one.seen.frame for one in opened], np.int64)
    time = np.array([one.seen.time_ns for one in opened], np.int64)
    row, nothing = np.arange(len(opened)), np.zeros(len(opened), np.int64)
    ends = [
        np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, _ADDRESS)
        for addresses in ([one.seen.source for one in opened], [one.seen.destination for one in opened])
    ]
    records = Records(data, 0, frame, time, end[:-1], np.diff(end), np.diff(end), nothing)
    return records, Datagrams(data, row, end[:-1], end[1:], nothing > 0, flows.between(ends[0], ends[1]))


_VERSIONS = (b"\xfe\xff", b"\xfe\xfd")


def _split(data: bytes, at: int, width: int) -> tuple[Record, int, bool]:
    """The record at `at` with a Connection ID of `width` bytes, where the next begins, and whether it is whole."""
    behind = at + 11 + width
    length = int.from_bytes(data[behind : behind + 2], "big")
    fragment = data[behind + 2 : behind + 2 + length]
    record = Record(data[at], data[at + 1 : at + 3], data[at + 3 : at + 11], data[at + 11 : behind], fragment)
    return record, behind + 2 + length, len(fragment) == length and behind + 2 <= len(data)
