"""Block-wise transfers: which blocks make one body, what is missing, and the body itself.

A transfer is keyed by device, peer, direction, path, query, Content-Format, ETag and Request-Tag; a block 0 after
another block begins the next one (RFC 7959, 2.5). Blocks are placed by their offset, so that a smaller block size in
the middle changes nothing, and a download that goes on elsewhere with the same ETag is one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import Table, group_codes, numbered, seconds
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import Columns, coap, values

__all__ = ["BLOCK_COLUMNS", "TRANSFER_COLUMNS", "body_of", "build_blocks", "build_transfers", "runs", "useful"]

BLOCK_COLUMNS = (
    "transfer", "endpoint", "frame", "time", "num", "offset", "size", "more", "length", "copies", "response_frame",
    "response_time", "response_code",
)  # fmt: skip
TRANSFER_COLUMNS = (
    "transfer", "endpoint", "kind", "uri_path", "uri_query", "content_format", "sender", "receiver", "first_frame",
    "last_frame", "start", "end", "duration_s", "blocks", "block_sizes", "size", "expected_size", "complete", "missing",
    "body_sha256", "image_sha256", "retransmissions", "final_code", "goodput",
)  # fmt: skip
Ints = NDArray[np.int64]
_GET, _FETCH = _FETCHING = 1, 5
_REQUEST_TAG = 292
_TAKEN_OVER = (
    "endpoint", "frame", "time", "response_frame", "response_time", "response_code", "retransmissions", "_copies",
    "_row", "_src", "_dst", "_device", "_path", "_query",
)  # fmt: skip
#: Bodies in which Request-Tags are looked for; more that go back are no server but an attack.
MOST_LOOKED_INTO = 1000


def build_blocks(columns: Columns, exchanges: Table, notifications: Table) -> Table:
    """One row a block that carries payload: Block1 in requests, Block2 in responses and notifications."""
    further = _notified(columns, exchanges, notifications)
    parts = [_sent(columns, exchanges), _fetched(columns, exchanges), further]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table["transfer"] = _numbered(columns, table) if len(table["frame"]) else np.zeros(0, np.int64)
    order = np.lexsort((table["frame"], table["transfer"]))
    return {name: column[order] for name, column in table.items()}


def _sent(columns: Columns, exchanges: Table) -> Table:
    """The blocks in requests."""
    positions = np.nonzero((exchanges["block1_num"] >= 0) & (exchanges["_code"] != _GET))[0]
    chosen = _chosen(exchanges, positions)
    return _block_rows(columns, "block1", chosen, chosen["_row"], positions)


def _fetched(columns: Columns, exchanges: Table) -> Table:
    """The blocks in responses to GET and FETCH."""
    response, code = exchanges["_response"], exchanges["_response_code"]
    number = np.where(response >= 0, columns["block2_num"][response], -1) if len(columns["frame"]) else response
    success = (code >= 64) & (code < 96)
    positions = np.nonzero((number >= 0) & success & np.isin(exchanges["_code"], _FETCHING))[0]
    return _block_rows(columns, "block2", _chosen(exchanges, positions), response[positions], positions)


def _notified(columns: Columns, exchanges: Table, notifications: Table) -> Table:
    """The first blocks in notifications; the others are fetched with GET (RFC 7959, 2.6)."""
    rows = notifications["_row"]
    here = (columns["block2_num"][rows] >= 0) & (columns["code"][rows] >> 5 == 2)
    rows = rows[here]
    frame, time, none = columns["frame"][rows], seconds(columns)[rows], np.zeros(len(rows), np.int64)
    # A notification answers no request of its own: it is request and response in one.
    chosen = {
        **_chosen(exchanges, notifications["_exchange"][here]),
        "frame": frame,
        "response_frame": frame,
        "time": time,
        "response_time": time,
        "response_code": np.array(columns.categories["code"], object)[columns["code"][rows]],
        "_copies": none + 1,
        "retransmissions": none,
    }
    return _block_rows(columns, "block2", chosen, rows, none - 1)


def _chosen(exchanges: Table, positions: Ints) -> Table:
    """What of these exchanges their blocks take over."""
    return {name: exchanges[name][positions] for name in _TAKEN_OVER}


def _block_rows(columns: Columns, kind: str, chosen: Table, carrier: Ints, positions: Ints) -> Table:
    """The blocks that the rows `carrier` carry, for the exchanges `chosen`."""
    num = columns[f"{kind}_num"][carrier].astype(np.int64)
    size = columns[f"{kind}_size"][carrier].astype(np.int64)
    sender, receiver = ("_src", "_dst") if kind == "block1" else ("_dst", "_src")
    return {
        "kind": np.full(len(carrier), kind, object),
        "endpoint": chosen["endpoint"],
        "frame": columns["frame"][carrier],
        "time": chosen["time" if kind == "block1" else "response_time"],
        "num": num,
        "offset": num * np.maximum(size, 0),
        "size": size,
        "more": columns[f"{kind}_more"][carrier].astype(bool),
        "length": columns["payload_length"][carrier].astype(np.int64),
        "copies": chosen["_copies"],
        "retransmissions": chosen["retransmissions"],
        "request_frame": chosen["frame"],
        "response_frame": chosen["response_frame"],
        "response_time": chosen["response_time"],
        "response_code": chosen["response_code"],
        "expected": columns["size1" if kind == "block1" else "size2"][carrier],
        "_carrier": carrier,
        "_exchange": positions,
        "_sender": chosen[sender],
        "_receiver": chosen[receiver],
        "_device": chosen["_device"],
        "_path": chosen["_path"],
        "_query": chosen["_query"],
        "_form": columns["content_format"][carrier] if kind == "block1" else np.full(len(carrier), -1),
        "_etag": columns["etag"][carrier],
    }


def _numbered(columns: Columns, blocks: Table) -> Ints:
    """The transfer that each block belongs to, numbered by their first frames.

    Blocks of one body have the same device, at whatever address, the same peer, path, query and Content-Format, the
    same ETag and Request-Tag; a block 0 after another block begins the next body.
    """
    # The device by its name, the peer by its address: who moves is the device.
    device, sender, receiver = (blocks[name] for name in ("_device", "_sender", "_receiver"))
    peer = np.where(sender == device, receiver, sender)
    keys = [blocks[name] for name in ("_path", "_query", "_form")]
    key = group_codes(blocks["kind"] == "block2", numbered(blocks["endpoint"])[0], sender == device, peer, *keys)
    key = group_codes(key, _etags(key, blocks))
    key = group_codes(key, _request_tags(columns, key, blocks))
    order = np.lexsort((blocks["frame"], key))
    sorted_key = key[order]
    num, more, code = (blocks[name][order] for name in ("num", "more", "response_code"))
    anew = np.ones(len(order), bool)
    if len(order) > 1:
        before_num, before_more, before_code = num[:-1], more[:-1], code[:-1]
        # A block 0 right after a block 0 is the sender's own repetition, unless that one was a whole body.
        whole = ~before_more & (before_code != None)  # noqa: E711
        anew[1:] = (sorted_key[1:] != sorted_key[:-1]) | ((num[1:] == 0) & ((before_num > 0) | whole))
    number = np.cumsum(anew) - 1
    first = blocks["frame"][order][anew]
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    result = np.empty(len(order), np.int64)
    result[order] = rank[number]
    return result


def _etags(key: Ints, blocks: Table) -> Ints:
    """The ETag of each block; one that has none has that of the block before it, else of the one behind it."""
    etag: Ints = blocks["_etag"].astype(np.int64)
    if (etag < 0).all():
        return etag
    order = np.lexsort((blocks["frame"], key))
    sorted_key, at = key[order], np.arange(len(order))
    known = etag[order] >= 0
    before = np.maximum.accumulate(np.where(known, at, 0))
    behind = np.minimum.accumulate(np.where(known, at, len(at) - 1)[::-1])[::-1]
    holder = np.where(known[before] & (sorted_key[before] == sorted_key), before, behind)
    result = np.empty_like(etag)
    result[order] = np.where(sorted_key[holder] == sorted_key, etag[order][holder], -1)
    return result


def _request_tags(columns: Columns, key: Ints, blocks: Table) -> Ints:
    """A number for each Request-Tag (RFC 9175), looked for where blocks do not go on; elsewhere it tells nothing."""
    tags = np.full(len(key), -1, np.int64)
    order = np.lexsort((blocks["frame"], key))
    sorted_key = key[order]
    back = np.append(False, (np.diff(sorted_key) == 0) & (np.diff(blocks["num"][order]) <= 0))
    back &= (blocks["kind"] == "block1")[order]
    carrier = blocks["_carrier"]
    known: dict[bytes, int] = {}
    # One block of those tells whether this sender has Request-Tags at all.
    groups, told = np.unique(sorted_key[back], return_index=True)
    told = np.nonzero(back)[0][told]
    for group, first in list(zip(groups.tolist(), told.tolist(), strict=True))[:MOST_LOOKED_INTO]:
        if _request_tag(columns, int(carrier[order[first]])) is None:
            continue
        begin, end = np.searchsorted(sorted_key, [group, group + 1])
        for at in order[begin:end].tolist():
            tag = _request_tag(columns, int(carrier[at]))
            tags[at] = -1 if tag is None else known.setdefault(tag, len(known))
    return tags


def _request_tag(columns: Columns, row: int) -> bytes | None:
    found = coap.decode(columns.datagram(row)).values(_REQUEST_TAG)
    return found[0] if found else None


def useful(blocks: Rows) -> Rows:
    """The blocks that make the body, by their offsets: the last sent at each, whether the receiver took it or not."""
    # A stable sort keeps the order of the file among equal offsets.
    order = np.argsort(blocks.offset, kind="stable")
    offsets = blocks.offset[order]
    return blocks[order[np.append(offsets[1:] != offsets[:-1], True)]] if len(blocks) else blocks


def _reach(blocks: Rows) -> Ints:
    """How far the body reaches without a hole before each of the blocks, which are in the order of their offsets."""
    ends = blocks.offset + blocks.length
    reach: Ints = np.append(0, np.maximum.accumulate(ends)[:-1])
    return reach


def body_of(columns: Columns, blocks: Rows) -> bytes | None:
    """The body that these blocks of one transfer make; None where a byte is missing.

    A body is built only once every byte of it is known to be there, so a block number that lies costs nothing.
    """
    parts = useful(blocks)
    if not len(parts) or bool(parts.last("more")) or (parts["size"] < 0).any():
        return None
    reach = _reach(parts)
    if (parts.offset > reach).any():
        return None
    if (parts.offset == reach).all():
        return columns.joined(parts["_carrier"])
    body = bytearray()
    for offset, row in parts.each("offset", "_carrier"):
        payload = columns.payload(row)
        body[offset : offset + len(payload)] = payload
    return bytes(body)


def build_transfers(columns: Columns, blocks: Rows) -> list[dict[str, object]]:
    """What there is to say of each transfer; the blocks are all of a capture, in the order of their transfers."""
    return [_transfer(columns, group) for group in blocks.split("transfer")]


def _transfer(columns: Columns, group: Rows) -> dict[str, object]:
    """The row of one transfer."""
    parts, body, form = useful(group), body_of(columns, group), int(group.first("_form"))
    image = None if body is None else values.unwrap_package(body, None if form < 0 else form)
    path, kind, query = group.first("_path"), group.first("kind"), group.first("_query")
    began, ended = float(group.first("time")), float(group.last("time"))
    answered = float(group.last("response_time"))
    # What pushes a body waits for its last answer, what fetches one has it with the last block.
    if kind == "block1" and answered == answered:
        ended = answered
    name = columns.categories["uri_path"][path] if path >= 0 else None
    is_package = name == "/5/0/0" or kind == "block2"
    size = int(parts.length.sum())
    return {
        "transfer": group.first("transfer"),
        "endpoint": group.first("endpoint"),
        "kind": kind,
        "uri_path": name,
        "uri_query": columns.categories["uri_query"][query] if query >= 0 and kind == "block1" else None,
        "content_format": None if form < 0 else form,
        "sender": columns.categories["src"][group.first("_sender")],
        "receiver": columns.categories["src"][group.first("_receiver")],
        "first_frame": int(min(group.frame.min(), group.request_frame.min())),
        "last_frame": int(max(group.frame.max(), group.response_frame.max())),
        "start": began,
        "end": ended,
        "duration_s": ended - began,
        "blocks": len(parts),
        "block_sizes": runs(group["size"]),
        "size": size,
        "expected_size": group[group.expected >= 0].first("expected"),
        "complete": body is not None,
        "missing": int((parts.offset > _reach(parts)).sum()),
        "body_sha256": None if body is None else hashlib.sha256(body).hexdigest(),
        "image_sha256": hashlib.sha256(image).hexdigest() if image is not None and is_package else None,
        "retransmissions": int(group.retransmissions.sum()),
        "final_code": group.last("response_code"),
        "goodput": size / (ended - began) if ended > began else None,
    }


def runs(sizes: Ints) -> list[int]:
    """The numbers with repeats dropped.

    Examples
    --------
    >>> runs(np.array([1024, 1024, 256, 1024]))
    [1024, 256, 1024]
    """
    kept: list[int] = sizes[np.append(True, sizes[1:] != sizes[:-1])].tolist() if len(sizes) else []
    return kept
