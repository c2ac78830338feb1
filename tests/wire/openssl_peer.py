"""DTLS sessions between `openssl s_client` and `openssl s_server`, recorded by a relay on loopback.

The relay stands between the two and writes down every datagram, so that no right to capture packets is needed. Run as a
script, it makes the captures in ``data`` anew.
"""

from __future__ import annotations

import os
import pathlib
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

KEY, IDENTITY = "00112233445566778899aabbccddeeff", "urn:dev:openssl"
DATA = pathlib.Path(__file__).parent / "data"
#: Seconds until a step that does not come is an error.
PATIENCE = 20.0
CLIENT, SERVER = ("192.0.2.2", 40000), ("192.0.2.1", 5684)
_CHANGE_CIPHER_SPEC, _APPLICATION_DATA = 20, 23
#: Without extended master secret: s_client 3.0 has no option for it, its configuration file has.
WITHOUT_EMS = """openssl_conf = top
[top]
ssl_conf = ssl
[ssl]
system_default = without
[without]
Options = -ExtendedMasterSecret
"""

Step = tuple[str, bytes]


def exchange(number: int, path: str = "5/0/3") -> list[Step]:
    """A read by the server, and its answer."""
    options = tuple((11, part.encode()) for part in path.split("/"))
    token = b"tok" + bytes([number])
    return [
        ("server", encode(Message("CON", "0.01", number, token, options))),
        ("client", encode(Message("ACK", "2.05", number, token, ((12, b""),), b"0"))),
    ]


@dataclass
class Relay:
    """Stands between a client and a server, and keeps what passes."""

    server_port: int
    packets: list[Packet] = field(default_factory=list)
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    client_address: tuple[str, int] = CLIENT
    clock: int = 1_700_000_000_000_000_000

    def __post_init__(self) -> None:
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back.connect(("127.0.0.1", self.server_port))
        self.peer: tuple[str, int] | None = None
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ, "client")
        self.selector.register(self.back, selectors.EVENT_READ, "server")

    @property
    def port(self) -> int:
        """Where the client connects to."""
        return int(self.front.getsockname()[1])

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Pass datagrams on until something is so."""
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"no {what} within {PATIENCE} s")
            for key, _ in self.selector.select(0.05):
                self._pass(str(key.data))

    def _pass(self, side: str) -> None:
        if side == "client":
            data, self.peer = self.front.recvfrom(65536)
            self.back.send(data)
        else:
            data = self.back.recv(65536)
            assert self.peer is not None
            self.front.sendto(data, self.peer)
        self.clock += 1_000_000
        ends = (self.client_address, SERVER) if side == "client" else (SERVER, self.client_address)
        self.packets.append(Packet(self.clock, udp_packet(*ends, data)))
        at = 0
        while at + 13 <= len(data):
            epoch = int.from_bytes(data[at + 3 : at + 5], "big")
            for key in ((side, data[at]), (side, 1000 * epoch + data[at])):
                self.seen[key] = self.seen.get(key, 0) + 1
            at += 13 + int.from_bytes(data[at + 11 : at + 13], "big")

    def count(self, side: str, kind: int) -> int:
        """Records of this type from a side."""
        return self.seen.get((side, kind), 0)

    def close(self) -> None:
        """Let the sockets go."""
        self.selector.close()
        self.front.close()
        self.back.close()


@dataclass
class Peer:
    """A server and the clients that come to it, one after the other."""

    openssl: str
    folder: pathlib.Path
    server_options: Sequence[str] = ()
    packets: list[Packet] = field(default_factory=list)

    def __post_init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = dict(os.environ)
        self.keylog = self.folder / "keys.txt"
        command = [self.openssl, "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{self.port}"]
        self.server = self._start([*command, *self.server_options])
        out = b""
        while b"ACCEPT" not in out:
            assert self.server.stdout is not None
            chunk = os.read(self.server.stdout.fileno(), 4096)
            if not chunk:
                raise RuntimeError(f"s_server ended: {out.decode()}")
            out += chunk

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self.folder,
        )

    def session(
        self, options: Sequence[str], steps: Sequence[Step], *, address: tuple[str, int] = CLIENT, ems: bool = True
    ) -> None:
        """One client: its handshake, then what each side says, then its end."""
        if not ems:
            (self.folder / "without.cnf").write_text(WITHOUT_EMS)
        self.environment["OPENSSL_CONF"] = str(self.folder / "without.cnf") if not ems else os.devnull
        relay = Relay(self.port, client_address=address)
        relay.clock += 1_000_000_000 * len(self.packets)
        command = [self.openssl, "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{relay.port}"]
        client = self._start([*command, "-keylogfile", str(self.keylog), *options])
        try:
            relay.until(
                lambda: min(relay.count(side, 1022) for side in ("client", "server")) > 0, "Finished of both sides"
            )
            for side, data in steps:
                self._step(relay, client, side, data)
            assert client.stdin is not None
            client.stdin.close()
            relay.until(lambda: min(relay.count(side, 21) for side in ("client", "server")) > 0, "close_notify")
        finally:
            client.kill()
            client.wait()
            assert client.stdout is not None
            client.stdout.close()
            relay.close()
        self.packets += relay.packets

    def _step(self, relay: Relay, client: subprocess.Popen[bytes], side: str, data: bytes) -> None:
        process = client if side == "client" else self.server
        assert process.stdin is not None
        renegotiates = data == b"r\n"
        sender, kind = (side, 2022 if renegotiates else _APPLICATION_DATA)
        before = relay.count(sender, kind)
        process.stdin.write(data)
        process.stdin.flush()
        relay.until(lambda: relay.count(sender, kind) > before, f"{data!r} from the {side}")

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.wait()
        for stream in (self.server.stdin, self.server.stdout):
            assert stream is not None
            stream.close()

    def capture(self) -> bytes:
        """What was recorded, as a file."""
        return pcapng_bytes(self.packets, interfaces=[Interface()])


# ---------------------------------------------------------------- what is recorded


@dataclass(frozen=True)
class Scenario:
    """One recording: a server, and the sessions of one client."""

    name: str
    suite: str
    server: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    #: Further options of the client in each session, and what is said in it.
    sessions: tuple[tuple[tuple[str, ...], tuple[Step, ...]], ...] = (((), tuple(exchange(1) + exchange(2))),)
    ems: bool = True
    certificate: bool = False

    def record(self, openssl: str, folder: pathlib.Path) -> tuple[bytes, str]:
        """The capture, and the key log."""
        secret = ["-cipher", f"{self.suite}:@SECLEVEL=0"]
        if "PSK" in self.suite:
            secret += ["-psk", KEY, "-psk_identity", IDENTITY]
        ticket = [option for option in self.server if option == "-no_ticket"]
        peer = Peer(openssl, folder, [*secret, *self._certificate(openssl, folder), *self.server])
        try:
            for number, (options, steps) in enumerate(self.sessions):
                address = (CLIENT[0], CLIENT[1] + number)
                peer.session([*secret, *ticket, *self.client, *options], steps, address=address, ems=self.ems)
        finally:
            peer.close()
        return peer.capture(), peer.keylog.read_text()

    def _certificate(self, openssl: str, folder: pathlib.Path) -> list[str]:
        if not self.certificate:
            return ["-nocert"]
        command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=server", "-days", "30"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return ["-cert", "cert.pem", "-key", "key.pem"]


_CCM8, _CBC = "PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256"
_TWICE = (
    (("-sess_out", "session.pem"), tuple(exchange(1))),
    (("-sess_in", "session.pem"), tuple(exchange(2))),
)
SCENARIOS = (
    Scenario("ccm8", _CCM8),
    Scenario("ccm8-without-ems", _CCM8, ems=False),
    Scenario("ccm", "PSK-AES128-CCM"),
    Scenario("gcm", "PSK-AES128-GCM-SHA256"),
    Scenario("cbc", _CBC),
    Scenario("cbc-without-etm", _CBC, server=("-no_etm",)),
    Scenario("cbc-without-ems", _CBC, ems=False),
    Scenario("cbc-without-etm-and-ems", _CBC, server=("-no_etm",), ems=False),
    Scenario("aes256-gcm", "PSK-AES256-GCM-SHA384", server=("-psk_hint", "a hint")),
    Scenario("aes256-cbc", "PSK-AES256-CBC-SHA384"),
    Scenario("chacha20", "PSK-CHACHA20-POLY1305"),
    Scenario("resumed-by-session-id", _CCM8, server=("-no_ticket",), sessions=_TWICE),
    Scenario("resumed-by-ticket", _CCM8, sessions=_TWICE),
    Scenario("resumed-cbc-without-ems", _CBC, sessions=_TWICE, ems=False),
    Scenario("renegotiated", _CCM8, sessions=(((), (*exchange(1), ("server", b"r\n"), *exchange(2))),)),
    Scenario("ecdhe-psk", "ECDHE-PSK-AES128-CBC-SHA256"),
    Scenario("ecdhe-ccm8", "ECDHE-ECDSA-AES128-CCM8", certificate=True),
    Scenario("ecdhe-gcm", "ECDHE-ECDSA-AES128-GCM-SHA256", certificate=True),
)


def main() -> None:
    """Make the recordings anew."""
    openssl = shutil.which("openssl")
    if openssl is None:
        sys.exit("openssl is needed")
    DATA.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            capture, keylog = scenario.record(openssl, pathlib.Path(folder))
        (DATA / f"openssl-{scenario.name}.pcapng").write_bytes(capture)
        (DATA / f"openssl-{scenario.name}.keylog").write_text(keylog)


if __name__ == "__main__":
    main()
