"""Block-wise transfers: which blocks make one body, what is missing, and the body itself.

A transfer is keyed by sender, receiver, path, query and Content-Format; a block 0 after another block begins the next
one (RFC 7959, 2.5). Blocks are placed by their offset, so that a smaller block size in the middle changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import group_codes
from lwm2m_lab.wire import Columns, values

__all__ = ["BLOCK_COLUMNS", "TRANSFER_COLUMNS", "body_of", "build_blocks", "build_transfers"]

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
_GET = 1


def build_blocks(columns: Columns, exchanges: pd.DataFrame) -> pd.DataFrame:
    """One row a block that carries payload: Block1 in requests, Block2 in responses to GET."""
    parts = [_block_rows(columns, exchanges, kind) for kind in ("block1", "block2")]
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if not len(table):
        return table.assign(transfer=[])
    table["transfer"] = _numbered(table)
    return table.sort_values(["transfer", "frame"], kind="stable", ignore_index=True)


def _block_rows(columns: Columns, exchanges: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The blocks of one kind, in the order of the file."""
    if kind == "block1":
        chosen = exchanges[(exchanges["block1_num"] >= 0).to_numpy() & (exchanges["_code"] != _GET).to_numpy()]
        carrier = chosen["_row"].to_numpy()
    else:
        response = exchanges["_response"].to_numpy()
        number = np.where(response >= 0, columns["block2_num"][response], -1) if len(columns["frame"]) else response
        success = exchanges["_response_code"].between(64, 95).to_numpy()
        chosen = exchanges[(number >= 0) & success & (exchanges["_code"] == _GET).to_numpy()]
        carrier = chosen["_response"].to_numpy()
    num = columns[f"{kind}_num"][carrier].astype(np.int64)
    size = columns[f"{kind}_size"][carrier].astype(np.int64)
    sender, receiver = ("_src", "_dst") if kind == "block1" else ("_dst", "_src")
    return pd.DataFrame(
        {
            "kind": kind,
            "endpoint": chosen["endpoint"].to_numpy(),
            "frame": columns["frame"][carrier],
            "time": chosen["time" if kind == "block1" else "response_time"].to_numpy(),
            "num": num,
            "offset": num * np.maximum(size, 0),
            "size": size,
            "more": columns[f"{kind}_more"][carrier].astype(bool),
            "length": columns["payload_length"][carrier].astype(np.int64),
            "copies": chosen["_copies"].to_numpy(),
            "retransmissions": chosen["retransmissions"].to_numpy(),
            "request_frame": chosen["frame"].to_numpy(),
            "response_frame": chosen["response_frame"].to_numpy(),
            "response_time": chosen["response_time"].to_numpy(),
            "response_code": chosen["response_code"].to_numpy(),
            "expected": columns["size1" if kind == "block1" else "size2"][carrier],
            "_carrier": carrier,
            "_exchange": chosen.index.to_numpy(),
            "_sender": chosen[sender].to_numpy(),
            "_receiver": chosen[receiver].to_numpy(),
            "_path": chosen["_path"].to_numpy(),
            "_query": chosen["_query"].to_numpy(),
            "_form": columns["content_format"][carrier] if kind == "block1" else np.full(len(carrier), -1),
            "_etag": columns["etag"][carrier] if kind == "block2" else np.full(len(carrier), -1),
        }
    )


def _numbered(blocks: pd.DataFrame) -> Ints:
    """The transfer that each block belongs to, numbered by their first frames."""
    keys = [blocks[name].to_numpy() for name in ("_sender", "_receiver", "_path", "_query", "_form")]
    key = group_codes(blocks["kind"].to_numpy() == "block2", *keys)
    order = np.lexsort((blocks["frame"].to_numpy(), key))
    sorted_key, num = key[order], blocks["num"].to_numpy()[order]
    more = blocks["more"].to_numpy()[order]
    code = blocks["response_code"].to_numpy()[order]
    anew = np.ones(len(order), bool)
    if len(order) > 1:
        before_num, before_more, before_code = num[:-1], more[:-1], code[:-1]
        # A block 0 right after a block 0 is the sender's own repetition, unless that one was a whole body.
        whole = ~before_more & (before_code != None)  # noqa: E711
        anew[1:] = (sorted_key[1:] != sorted_key[:-1]) | ((num[1:] == 0) & ((before_num > 0) | whole))
    number = np.cumsum(anew) - 1
    first = blocks["frame"].to_numpy()[order][anew]
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    result = np.empty(len(order), np.int64)
    result[order] = rank[number]
    return result


def _useful(blocks: pd.DataFrame) -> pd.DataFrame:
    """The blocks that make the body: one at each offset, the last sent, whether the receiver took it or not."""
    return blocks.drop_duplicates("offset", keep="last").sort_values("offset", kind="stable")


def _reach(blocks: pd.DataFrame) -> Ints:
    """How far the body reaches without a hole before each of the blocks, which are in the order of their offsets."""
    ends = (blocks["offset"] + blocks["length"]).to_numpy()
    reach: Ints = np.append(0, np.maximum.accumulate(ends)[:-1])
    return reach


def body_of(columns: Columns, blocks: pd.DataFrame) -> bytes | None:
    """The body that these blocks of one transfer make; None where a byte is missing.

    A body is built only once every byte of it is known to be there, so a block number that lies costs nothing.
    """
    useful = _useful(blocks)
    last = useful.iloc[-1:] if len(useful) else useful
    if not len(useful) or bool(last["more"].iat[0]) or (useful["size"] < 0).any():
        return None
    offsets, reach = useful["offset"].to_numpy(), _reach(useful)
    if (offsets > reach).any():
        return None
    if (offsets == reach).all():
        return columns.joined(useful["_carrier"].to_numpy())
    body = bytearray()
    for offset, row in zip(offsets.tolist(), useful["_carrier"].tolist(), strict=True):
        payload = columns.payload(row)
        body[offset : offset + len(payload)] = payload
    return bytes(body)


def build_transfers(columns: Columns, blocks: pd.DataFrame) -> pd.DataFrame:
    """One row a transfer."""
    rows = list(_transfers(columns, blocks))
    table = pd.DataFrame(rows, columns=list(TRANSFER_COLUMNS))
    return table.astype({"content_format": "Int64", "expected_size": "Int64"})


def _transfers(columns: Columns, blocks: pd.DataFrame) -> Iterator[dict[str, object]]:
    for number, group in blocks.groupby("transfer", sort=True):
        first, last = group.iloc[0], group.iloc[-1]
        useful = _useful(group)
        body = body_of(columns, group)
        form = int(first["_form"])
        image = None if body is None else values.unwrap_package(body, None if form < 0 else form)
        is_package = columns_path(columns, first) == "/5/0/0" or first["kind"] == "block2"
        end = (
            last["response_time"]
            if first["kind"] == "block1" and last["response_time"] == last["response_time"]
            else None
        )
        ended = float(last["time"] if end is None else end)
        began = float(first["time"])
        size = int(useful["length"].sum())
        yield {
            "transfer": int(number),
            "endpoint": first["endpoint"],
            "kind": first["kind"],
            "uri_path": columns_path(columns, first),
            "uri_query": columns.text("uri_query", int(first["_carrier"])) if first["kind"] == "block1" else None,
            "content_format": None if form < 0 else form,
            "sender": columns.categories["src"][int(first["_sender"])],
            "receiver": columns.categories["src"][int(first["_receiver"])],
            "first_frame": int(group[["frame", "request_frame"]].to_numpy().min()),
            "last_frame": int(group[["frame", "response_frame"]].to_numpy().max()),
            "start": began,
            "end": ended,
            "duration_s": ended - began,
            "blocks": len(useful),
            "block_sizes": _runs(group["size"].tolist()),
            "size": size,
            "expected_size": _expected(group),
            "complete": body is not None,
            "missing": _gaps(useful),
            "body_sha256": None if body is None else hashlib.sha256(body).hexdigest(),
            "image_sha256": hashlib.sha256(image).hexdigest() if image is not None and is_package else None,
            "retransmissions": int(group["retransmissions"].sum()),
            "final_code": last["response_code"],
            "goodput": size / (ended - began) if ended > began else None,
        }


def columns_path(columns: Columns, block: pd.Series) -> str | None:
    """The path of the request that the block belongs to."""
    return columns.categories["uri_path"][int(block["_path"])] if int(block["_path"]) >= 0 else None


def _expected(group: pd.DataFrame) -> int | None:
    """Size1 or Size2, where one was said."""
    said = group["expected"][group["expected"] >= 0]
    return int(said.iloc[0]) if len(said) else None


def _gaps(useful: pd.DataFrame) -> int:
    """Number of holes between the blocks."""
    return int((useful["offset"].to_numpy() > _reach(useful)).sum())


def _runs(items: list[int]) -> list[int]:
    """The items with repeats dropped."""
    return [int(item) for at, item in enumerate(items) if at == 0 or item != items[at - 1]]
