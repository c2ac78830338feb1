"""The columns of a capture, collected window by window with numpy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import coap, flows
from lwm2m_lab.wire.columns import CODE_NAMES, DTYPES, Array, Columns, Source
from lwm2m_lab.wire.formats import LINK_TYPES, open_capture
from lwm2m_lab.wire.icmp import IcmpErrors
from lwm2m_lab.wire.keyring import Keyring, PreSharedKeys
from lwm2m_lab.wire.options import MessageDecoder
from lwm2m_lab.wire.packets import Datagrams, Reassembler, other_packets, udp_datagrams
from lwm2m_lab.wire.pcap import RecordReader, Records
from lwm2m_lab.wire.segments import Segments
from lwm2m_lab.wire.store import Store

if TYPE_CHECKING:
    from lwm2m_lab.wire.dtls import Decryption
    from lwm2m_lab.wire.dtls_sessions import DtlsSession

__all__ = ["collect", "collect_others", "collect_parts"]

#: Messages that may be of no known flow, or came out of DTLS: what only the end tells of them.
_UNSURE = {**DTYPES, "_carried": "i4", "known": "?"}
#: Texts and flows that a stream remembers; behind so many it begins anew.
MOST_REMEMBERED = 1 << 15


def collect(
    source: Source,
    *,
    ports: Sequence[int],
    interface: str | int | None = None,
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
    frames: Array | None = None,
    origin_ns: int | None = None,
) -> Columns:
    """The columns of a whole capture; see `lwm2m_lab.wire.read_columns`.

    Of one from which packets were left out, `frames` are the numbers of those that remain, ascending, and `origin_ns`
    is the time of its first message.
    """
    stream, name = open_capture(source)
    with stream:
        reading = _Reading(RecordReader(stream, name), ports, interface, Keyring(psk, keylog))
        for records in reading.reader:
            reading.add(records if frames is None else _renumbered(records, frames))
    return reading.finish(source, name, origin_ns)


def collect_others(source: Source, *, ports: Sequence[int]) -> tuple[Segments, IcmpErrors]:
    """The TCP of a capture and its ICMP errors alone."""
    stream, name = open_capture(source)
    with stream:
        reading = _Reading(RecordReader(stream, name), ports, None, Keyring(None, None))
        reading.decodes = False
        for records in reading.reader:
            reading.add(records)
    return reading.segments, reading.icmp


def _renumbered(records: Records, frames: Array) -> Records:
    """The same packets, with the numbers that they have in the capture which they are a part of."""
    comments = {int(frames[frame - 1]): comment for frame, comment in records.comments.items()}
    return dataclasses.replace(records, frame=frames[records.frame - 1], comments=comments)


def collect_parts(
    source: Source,
    rows: int,
    *,
    ports: Sequence[int],
    interface: str | int | None,
    psk: PreSharedKeys | None,
    keylog: str | os.PathLike[str] | None,
) -> Iterator[Columns]:
    """The columns of a capture part by part; see `lwm2m_lab.wire.stream_columns`."""
    stream, name = open_capture(source)
    with stream:
        reading = _Reading(RecordReader(stream, name), ports, interface, Keyring(psk, keylog), part=rows)
        for records in reading.reader:
            reading.add(records)
            if reading.waiting >= rows:
                yield reading.finish(source, name)
                reading.begin_part()
        yield reading.finish(source, name)


class _Reading:
    """Collects the columns of all windows; or, where it `decodes` nothing, what is no UDP."""

    decodes = True

    def __init__(
        self,
        reader: RecordReader,
        ports: Sequence[int],
        interface: str | int | None,
        keyring: Keyring,
        *,
        part: int | None = None,
    ) -> None:
        self.reader, self.ports, self.interface, self.keyring, self.part = reader, ports, interface, keyring, part
        self.reassembler, self.left_out = Reassembler(), dict[int, int]()
        self.decoder, self.flows = MessageDecoder(), flows.Flows(ports)
        self.decryption: Decryption | None = None
        self.begin_part()

    def begin_part(self) -> None:
        """Forget the messages; and what texts and flows there were, once they are many."""
        #: Messages on known ports; and all others, of which only the end tells whether they are CoAP.
        self.sure, self.others = Store(DTYPES), Store(_UNSURE)
        self.segments, self.icmp = Segments(), IcmpErrors()
        self.side_data: list[bytes] = []
        self.comments: dict[int, str] = {}
        if self.decryption is not None:
            self.decryption.carried.clear()
        if self.decoder.remembered > MOST_REMEMBERED:
            self.decoder = MessageDecoder()
        if len(self.flows.endpoints) > MOST_REMEMBERED:
            # Templates are remembered by flow.
            self.decoder, self.flows = MessageDecoder(), flows.Flows(self.ports)

    @property
    def waiting(self) -> int:
        """Messages that have come together."""
        return self.sure.rows + self.others.rows

    def _share(self, more: int) -> float:
        """The part of the messages to come that is there with these, as far as one knows."""
        return self.reader.share if self.part is None else min(1.0, (self.waiting + more) / self.part)

    def add(self, records: Records) -> None:
        """Decode one window."""
        self.comments.update(records.comments)
        while self.reader.key_logs:
            self.keyring.add_keylog(self.reader.key_logs.pop())
        chosen = self._chosen()
        if chosen is not None:
            keep = records.interface == chosen
            names = ("frame", "time_ns", "start", "captured", "original", "interface")
            records = Records(records.data, records.base, *(getattr(records, name)[keep] for name in names))
        linktypes = self._linktypes(records)
        plain, reassembled = udp_datagrams(records, linktypes, self.reassembler, self.flows)
        if len(plain.row) < len(records.frame):
            others = other_packets(records, linktypes, plain.row)
            if self.part is None:
                self.segments.add(records, others)
            self.icmp.add(records, others)
        if not self.decodes:
            return
        self._messages(records, plain, None)
        for one in reassembled:
            at = int(one.start[0])
            self.side_data.append(one.data[at : int(one.end[0])].tobytes())
            self._messages(records, one, len(self.side_data))

    def _linktypes(self, records: Records) -> Array | int:
        """The link type of all records, or of each where they differ; those that nobody here can read are counted."""
        table = np.array([one.linktype for one in self.reader.interfaces] or [-1], np.int64)
        linktypes: Array | int = int(table[0])
        counts = {int(table[0]): len(records.frame)}
        if (table != table[0]).any():
            linktypes = table[np.minimum(records.interface, len(table) - 1)]
            counts = dict(zip(*(part.tolist() for part in np.unique(linktypes, return_counts=True)), strict=True))
        for linktype, count in counts.items():
            if linktype not in LINK_TYPES and count:
                self.left_out[linktype] = self.left_out.get(linktype, 0) + count
        return linktypes

    def _chosen(self) -> int | None:
        """Number of the interface to read; None for all."""
        names = [one.name for one in self.reader.interfaces]
        if self.interface is None:
            return names.index("server") if sorted(names) == ["device", "server"] else None
        if isinstance(self.interface, int):
            return self.interface
        return names.index(self.interface) if self.interface in names else -1

    def _messages(self, records: Records, found: Datagrams, side: int | None) -> None:
        """Tell DTLS from what may be CoAP, and decode the one and the other."""
        dtls = flows.is_dtls(found.data, found.start, found.end)
        if dtls.any():
            self._decrypt(records, found, np.nonzero(dtls)[0])
        keep = ~dtls & (found.end > found.start) & ~self.flows.foreign.take(found.flow)
        self._decode(records, found, keep, side, None)

    def _decrypt(self, records: Records, found: Datagrams, rows: Array) -> None:
        """What DTLS records carry is decoded like what came in the clear, from where it came."""
        if self.decryption is None:
            from lwm2m_lab.wire.dtls import Decryption

            self.decryption = Decryption(self.keyring)
        carried = len(self.decryption.carried)
        opened_records, opened = self.decryption.window(records, found, rows, self.flows)
        side = len(self.side_data) + 1
        content = opened.data.tobytes()
        self.side_data += [content[a:b] for a, b in zip(opened.start.tolist(), opened.end.tolist(), strict=True)]
        self._decode(opened_records, opened, opened.end > opened.start, side, carried)

    def _decode(self, records: Records, found: Datagrams, keep: Array, side: int | None, carried: int | None) -> None:
        """Decode these datagrams and keep their columns; those of `side` lie outside the file from there on."""
        chosen = np.flatnonzero(keep)
        if len(chosen) < len(keep):
            found = found.take(chosen)
        columns = self.decoder.window(found.data, found.start, found.end, found.cut, found.flow)
        columns["frame"], columns["time"] = records.frame.take(found.row), records.time_ns.take(found.row)
        columns["src"], columns["dst"] = self.flows.source.take(found.flow), self.flows.destination.take(found.flow)
        columns["_at"] = found.start + records.base if side is None else -side - chosen
        columns["_length"] = found.end - found.start
        known = self.flows.known.take(found.flow)
        if carried is None:
            self._keep(columns, known, found.flow)
        else:
            known |= self.flows.secured.take(found.flow)
            columns |= {"_carried": carried + chosen, "known": known}
            self.others.append(columns, share=self._share(len(chosen)))

    def _keep(self, columns: dict[str, Array], sure: Array, flow: Array) -> None:
        """Put messages with their like."""
        share = self._share(len(sure))
        if sure.all():
            self.sure.append(columns, share=share)
            return
        # A flow on unknown ports is CoAP as a whole or not at all: what follows its first fault need not be looked at.
        self.flows.foreign[flow[~sure & (columns["error"] >= 0)]] = True
        columns |= {"_carried": np.full(len(sure), -1, np.int32), "known": sure}
        for store, chosen in ((self.sure, sure), (self.others, ~sure)):
            store.append(columns, np.flatnonzero(chosen), share=share)

    def finish(self, source: Source, name: str, origin_ns: int | None = None) -> Columns:
        """One array for each column, in the order of the file, without what is no CoAP."""
        categories = self.decoder.categories()
        arrays = self._arrays(categories["token"])
        categories |= {
            "src": self.flows.endpoints,
            "dst": self.flows.endpoints,
            "type": list(coap.TYPES),
            "code": CODE_NAMES,
            "error": list(coap.ERRORS),
        }
        names = [one.name for one in self.reader.interfaces]
        chosen = self._chosen()
        self._check_interface(chosen, names, name)
        sessions, session = self._sessions(arrays)
        others = self.segments, self.icmp.found
        return Columns(
            arrays,
            categories,
            source=source,
            side_data=self.side_data,
            packets=self.reader.packets,
            encrypted_records=0 if self.decryption is None else self.decryption.encrypted,
            notes=[*self.reader.notes, *self._notes(chosen, names)],
            sessions=sessions,
            session=session,
            key_log=() if self.decryption is None else self.decryption.key_log(),
            others=lambda: others,
            comments=self.comments,
            interfaces=names,
            interface=None if chosen is None else names[chosen],
            origin_ns=origin_ns,
        )

    def _arrays(self, tokens: Sequence[str]) -> dict[str, Array]:
        """The columns of all messages that are CoAP."""
        arrays, others = self.sure.arrays(), self.others.arrays()
        known = others.pop("known")
        if self.decryption is not None:
            known |= self.decryption.are_coap(others)
        found = np.flatnonzero(known | flows.recognised(others, known, tokens))
        if not found.size and not self.side_data:
            return arrays
        arrays["_carried"] = np.full(len(arrays["frame"]), -1, np.int32)
        order = np.argsort(np.concatenate([arrays["frame"], others["frame"][found]]), kind="stable")
        return {name: np.concatenate([arrays.pop(name), others.pop(name)[found]])[order] for name in [*others]}

    def _sessions(self, arrays: Mapping[str, Array]) -> tuple[Sequence[DtlsSession], Array | None]:
        """The DTLS sessions, and which of them each message came in."""
        if self.decryption is None:
            return (), None
        session = None
        if self.decryption.carried:
            carried = arrays["_carried"]
            session = np.where(carried >= 0, self.decryption.numbers()[carried], -1)
        return self.decryption.sessions(), session

    def _check_interface(self, chosen: int | None, names: list[str], name: str) -> None:
        if chosen is not None and not 0 <= chosen < len(names):
            there = ", ".join(one or f"number {number}" for number, one in enumerate(names)) or "none"
            raise BadInput(f"{name} has no interface {self.interface!r}; one of {there} is expected")

    def _notes(self, chosen: int | None, names: list[str]) -> Iterator[str]:
        if self.interface is None and chosen is not None:
            yield "this is the server's side; the device's is there too: interface='device'"
        for linktype, count in self.left_out.items():
            yield f"{count} packets of link type {linktype} were left out: the lab cannot read it"
        if self.reassembler.parts:
            yield f"{len(self.reassembler.parts)} fragmented packets never became whole"
        if self.decryption is not None:
            yield from self.decryption.notes()
