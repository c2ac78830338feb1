"""Other ways from a capture to the fields of its CoAP messages: tshark, dpkt with aiocoap, scapy, pyshark.

Each takes time, ends, type, code, message id, token, path, block and length of the payload of each message, as its
documentation shows. They live in an environment of their own, which `make bench-set-up` makes; one that is not there is
left out. The program itself, with a file's name, is one of them: `python peers.py scapy FILE`.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

ENVIRONMENT = pathlib.Path("build/bench/peers/bin/python")
#: What each imports, its name in the table, and in how many rounds of the larger capture it takes part (0: in all).
PEERS = {
    "dpkt": (("dpkt", "aiocoap"), "dpkt and aiocoap", 0),
    "scapy": (("scapy",), "scapy", 1),
    "pyshark": (("pyshark",), "pyshark", 1),
}


def peers(bench: Any) -> Iterator[Any]:
    """A small capture and a middle one, in turns; scapy and pyshark read the middle one once."""
    from tests.bench.measuring import Program, Row, python, race, ratio, tshark
    from tests.bench.reading import COLUMNS, FRAME

    for packets in (bench.size // 200, bench.size // 10):
        path, name = bench.capture(packets), f"{packets:,}"
        large = packets > bench.size // 200
        ours, frame, shark = python("columns", COLUMNS, path), python("DataFrame", FRAME, path), tshark(path)
        others = [shark] if shark is not None else []
        for peer, (modules, title, rounds) in PEERS.items():
            if _has(modules):
                command = [str(ENVIRONMENT), __file__, peer, str(path)]
                others.append(Program(title, command, rounds if large else min(bench.rounds, 3)))
        race([ours, frame, *others], bench.rounds)
        yield Row(name, ours)
        yield Row(name, frame)
        for other in others:
            if not other.seconds:
                yield Row(name, other)
                continue
            figure = f"columns {ratio(other, ours):.1f} x faster, DataFrame {ratio(other, frame):.1f} x"
            yield Row(name, other, figure)


def _has(modules: tuple[str, ...]) -> bool:
    """Whether the peers' environment is there and has these."""
    import subprocess

    code = f"import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, {modules!r})))"
    return ENVIRONMENT.exists() and subprocess.run([ENVIRONMENT, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- the peers themselves


def _dpkt(path: str) -> Iterator[tuple[Any, ...]]:
    import aiocoap
    import dpkt

    with open(path, "rb") as file:  # noqa: PTH123
        for when, frame in dpkt.pcap.Reader(file):
            ip = getattr(dpkt.ethernet.Ethernet(frame), "data", None)
            udp = getattr(ip, "data", None)
            if not isinstance(udp, dpkt.udp.UDP) or 5683 not in (udp.sport, udp.dport):
                continue
            message = aiocoap.Message.decode(bytes(udp.data))
            block = message.opt.block1 or message.opt.block2
            path_of = "/".join(message.opt.uri_path)
            yield (when, ip.src, udp.sport, ip.dst, udp.dport, message.mtype, message.code, message.mid, message.token,
                   path_of, block, len(message.payload))  # fmt: skip


def _scapy(path: str) -> Iterator[tuple[Any, ...]]:
    from scapy.contrib.coap import CoAP
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether  # noqa: F401  (what the link layer is, has to be known)
    from scapy.utils import PcapReader

    for packet in PcapReader(path):
        if CoAP not in packet:
            continue
        ip, udp, message = packet[IP] if IP in packet else packet[IPv6], packet[UDP], packet[CoAP]
        options = dict(message.options)
        parts = [value for name, value in message.options if name == "Uri-Path"]
        block = options.get("Block1", options.get("Block2"))
        yield (packet.time, ip.src, udp.sport, ip.dst, udp.dport, message.type, message.code, message.msg_id,
               message.token, b"/".join(parts), block, len(message.payload))  # fmt: skip


def _pyshark(path: str) -> Iterator[tuple[Any, ...]]:
    import pyshark

    capture = pyshark.FileCapture(path, display_filter="coap", keep_packets=False, custom_parameters=["-n"])
    for packet in capture:
        ip, coap = packet.ip if hasattr(packet, "ip") else packet.ipv6, packet.coap
        yield (packet.sniff_timestamp, ip.src, packet.udp.srcport, ip.dst, packet.udp.dstport, coap.get("type"),
               coap.get("code"), coap.get("mid"), coap.get("token"), coap.get("opt_uri_path"),
               coap.get("opt_block_number"), coap.get("payload_length"))  # fmt: skip
    capture.close()


ROUTES: dict[str, Callable[[str], Iterator[tuple[Any, ...]]]] = {"dpkt": _dpkt, "scapy": _scapy, "pyshark": _pyshark}

if __name__ == "__main__":
    print(len(list(ROUTES[sys.argv[1]](sys.argv[2]))))
