"""Exercises of lesson 04, block-wise."""

from __future__ import annotations

from typing import Any

from lwm2m_lab.live.blockwise import szx_of
from lwm2m_lab.show.exercises.judging import Exercise, whole_number
from lwm2m_lab.wire.coap import Block

__all__ = ["EXERCISES"]

_OPTION = "1865"
_SENT, _BEFORE, _AFTER = 3, 512, 64


def _szx(answer: Any) -> str:
    slips = {
        256: "That is the size itself; SZX is the exponent behind it.",
        8: "2^8 is 256, but SZX counts from 16 on.",
    }
    return whole_number(answer, szx_of(256), slips, "16 shifted left by SZX is {} bytes, not 256.", lambda n: 16 << n)


def _offset(answer: Any) -> str:
    block = Block.from_bytes(bytes.fromhex(_OPTION))
    slips = {
        block.num: "That is NUM; how many bytes lie before that block?",
        int(_OPTION, 16): "That is the whole option as one number; its last four bits are M and SZX.",
        int(_OPTION, 16) * block.size: "NUM is the option without its last four bits.",
        block.num * block.szx: "The number is right; SZX is the exponent of the size, not the size.",
    }
    return whole_number(answer, block.num * block.size, slips, "No block of that option begins at byte {}.")


def _rescaled(answer: Any) -> str:
    sent = _SENT * _BEFORE
    slips = {
        _SENT: f"Block {_SENT} of {_AFTER} bytes begins at byte {_SENT * _AFTER}, which is there already.",
        sent: "That is the byte; which block of 64 bytes begins there?",
    }
    said = f"A block with that number begins at byte {{}}, and the first that is missing is byte {sent}."
    return whole_number(answer, sent // _AFTER, slips, said, lambda number: number * _AFTER)


EXERCISES: dict[str, Exercise] = {
    "04-szx": Exercise(
        _szx,
        ("SZX 6 is 1024 bytes, and each step halves the size.", "16 << SZX is to be 256."),
        "16 shifted left by four: seven sizes from 16 to 1024 in three bits.",
    ),
    "04-offset": Exercise(
        _offset,
        (
            "the last four bits are M and SZX, everything before them is NUM.",
            "0x1865 is NUM 0x186 and 0101: block 390, no more to come, SZX 5.",
        ),
        "block 390 of 512 bytes: NUM times size, and M says that it is the last one.",
    ),
    "04-rescale": Exercise(
        _rescaled,
        (
            "the wish is for the blocks to come; how many bytes are there?",
            "three blocks of 512 are 1536 bytes; divide by the new size.",
        ),
        "1536 bytes are there, so the next byte is in block 24 of 64: the number counts in the size that is used now.",
    ),
}
