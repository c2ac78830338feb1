"""Wakaama's server, which knows LwM2M 1.0, manages our device: register, read, discover, write, execute, observe."""

from __future__ import annotations

from collections.abc import Callable

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_options import ServerOptions
from tests.interop.conftest import Peer

CONTENT, CHANGED = "2.05 (COAP_205_CONTENT)", "2.04 (COAP_204_CHANGED)"


def test_wakaama_manages_our_device(wakaama: Callable[[int], Peer], judge: Callable[..., int]) -> None:
    """One session: what it prints of each operation, and what the device makes of it."""
    (port,) = free_ports(1)
    server = wakaama(port)
    # A name of nine characters: with a longer one this server misreads the option's extended length.
    options = lab.DeviceOptions(
        endpoint="bench", lwm2m="1.0", object_version="1.0", install_time=0.2, reboot_time=0.2, lifetime=600
    )
    with lab.Device(options, server=f"coap://127.0.0.1:{port}", timers=Timers(ack_timeout=0.5)) as device:
        registered = server.until('name: "bench"', "objects: ")
        assert 'binding: "UDP"' in registered
        assert "lifetime: 600 sec" in registered
        assert "objects: /1/0, /3/0, /5/0, " in registered

        assert "1.0.0" in server.command("read 0 /3/0", CONTENT, "lwm2m_lab", "simulated device", "1.0.0")
        server.command("read 0 /5/0/3", CONTENT, "type application/vnd.oma.lwm2m+tlv", "ID: 3 type: Resource Value")
        server.command("read 0 /5/0/0", "4.05")
        server.command("read 0 /7/0/0", "4.04")
        server.command("disc 0 /5", CONTENT, "</5>,</5/0>,</5/0/0>,</5/0/1>", "</5/0/8>;dim=4,</5/0/9>")

        server.command("write 0 /1/0/1 300", CHANGED, "Client #0 updated", "lifetime: 300 sec")
        server.command("exec 0 /1/0/8", CHANGED, "Client #0 updated")
        server.command("exec 0 /5/0/2", "4.05")
        server.command("time 0 /5/0/3 0 100", CHANGED)
        server.command("disc 0 /5/0/3", "</5/0/3>;pmin=0;pmax=100")

        server.command("observe 0 /5/0/5", "Notify from client #0 /5/0/5 number 0")
        server.command("write 0 /5/0/1 ftp://x/y", CHANGED, "Notify from client #0 /5/0/5 number 2", "09  .")
        assert (device.state, device.result) == (0, 9)
        # It prints our 2.05 as 0.00, with the value that came.
        server.command("cancel 0 /5/0/5", "Client #0 /5/0/5 : ", "39  9")

        server.command("exec 0 /3/0/4", CHANGED, "New client #", 'name: "bench"')
        assert [one.what for one in device.truth].count("boot") == 2
        assert judge(device, port) > 35
    server.until("unregistered")
    assert device.truth[-1].what == "de-registered"


def test_wakaama_watches_what_our_server_updates(wakaama: Callable[[int], Peer], judge: Callable[..., int]) -> None:
    """A device of two servers: Wakaama may read alone, observes, and is told of every State of the other's update."""
    (port,) = free_ports(1)
    watching = wakaama(port)
    options = lab.DeviceOptions(
        endpoint="bench", lwm2m="1.0", object_version="1.0", install_time=0.2, reboot_time=0.2, lifetime=600
    )
    patient = ServerOptions(patience=1.0, time_limit=20.0)
    with (
        lab.Server(patient, bind=("127.0.0.1", 0)) as own,
        lab.Device(
            options, servers=[own.uri, f"coap://127.0.0.1:{port}"], access={2: "R"}, timers=Timers(ack_timeout=0.5)
        ),
    ):
        own.wait_for("bench")
        registered = watching.until('name: "bench"', "objects: ")
        assert "objects: /1/0, /1/1, /2/0, /2/1, /2/2, /2/3, /3/0, /5/0, " in registered
        watching.command("read 0 /1/1/0", CONTENT)
        watching.command("read 0 /2", CONTENT)
        # Wakaama asks again twice before it takes a 4.01.
        watching.command("exec 0 /5/0/2", "4.01")
        watching.command("disc 0 /5", CONTENT, "</5/0/3>")
        watching.command("observe 0 /5/0/3", "Notify from client #0 /5/0/3 number 0")
        at = len(watching.until())
        report = own.update("bench", lab.image(version="2.1.0", size=3000), delivery="push")
        assert (report.outcome, report.firmware_version_after) == ("succeeded", "2.1.0")
        # Its notifications are numbered from 2: the first answer has 1.
        told = watching.until("/5/0/3 number 2", "/5/0/3 number 3", "/5/0/3 number 4", after=at)
        assert [line.split()[0] for line in told.splitlines() if "data (1 bytes)" in line] == ["data"] * 3
        assert all(f"0{state}  ." in told for state in (1, 2, 3))
        watching.until("New client #", 'name: "bench"', after=at)
        assert judge(own) > 10
    watching.until("unregistered")
