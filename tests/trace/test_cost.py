"""What an update costs: every byte counted once, energy by hand, and the gaps in which doors close."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.radio import MODELS, RadioModel, radio_use

UNIT = RadioModel(
    name="unit", up_bps=8.0, down_bps=8.0, tx_mw=1000.0, rx_mw=100.0, connected_mw=10.0, sleep_mw=1.0,
    inactivity_s=20.0, setup_s=2.0, setup_mw=50.0,
)  # fmt: skip


def test_every_byte_is_in_one_layer(shared: pathlib.Path) -> None:
    """The sum over layers is the sum over IP packets of the update's frames, as they lie in the file (Ethernet)."""
    path = shared / "captures" / "anjay" / "anjay-push-lossy-80ms-7pct.client-side.pcap"
    update = lab.read(path).update()
    data, at, number, total = path.read_bytes(), 24, 0, 0
    while at < len(data):
        number += 1
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        if update.frames[0] <= number <= update.frames[1]:
            total += length
        at += 16 + length
    cost = update.cost()
    assert cost.total_bytes == total
    assert (cost.layers.drop(columns="total") >= 0).all(axis=None)
    assert cost.layers.loc["DTLS", "total"] == 0


def test_what_was_sent_again_stands_apart() -> None:
    """Copies are told from first ones: without them the bytes are those of a run without loss."""
    clean = lab.push(size=9000, seed=5).update().cost()
    lossy = lab.push(size=9000, seed=5, link=lab.Link(loss={"up": 0.0, "down": 0.2})).update().cost()
    assert clean.again_bytes == 0
    assert lossy.again_bytes > 1000
    assert lossy.layers.loc["payload", "down"] == clean.layers.loc["payload", "down"]


def test_dtls_has_its_layer(shared: pathlib.Path) -> None:
    """29 bytes a record with CCM_8."""
    path = shared / "captures" / "anjay" / "anjay-dtls-psk-push-ok.pcap"
    capture = lab.read(path, psk={"h1-device-identity": "00112233445566778899aabbccddeeff"})
    layers = capture.update().cost().layers
    assert layers.loc["DTLS", "total"] == 29 * layers.loc["UDP", "total"] // 8


def test_a_pull_counts_the_download() -> None:
    """Also where it goes to another address than the server's."""
    cost = lab.pull(size=9000).update().cost()
    assert cost.layers.loc["payload", "down"] > 9000
    assert cost.notes == ()


def test_a_download_that_is_not_there_is_said(shared: pathlib.Path) -> None:
    """Encrypted downloads have no bytes here."""
    cost = lab.read(shared / "captures" / "anjay" / "anjay-pull-coaps-psk-ok.pcap").update().cost()
    assert "the download is not among the CoAP messages" in str(cost)
    assert "34 encrypted records" in str(cost)


def test_energy_by_hand() -> None:
    """Two packets 100 s apart: two connections, 20 s of listening after each, the rest asleep but for the set-up."""
    radio = radio_use(np.array([0.0, 100.0]), np.array([3.0, 5.0]), np.array([True, False]), UNIT)
    assert (radio.connections, radio.tx_s, radio.rx_s, radio.setup_s) == (2, 3.0, 5.0, 4.0)
    assert radio.connected_s == 40 - 8
    assert radio.sleep_s == 80 - 2
    assert radio.energy_j == pytest.approx((3 * 1000 + 5 * 100 + 32 * 10 + 4 * 50 + 78 * 1) / 1000)
    assert radio.on_s == 3 + 5 + 32 + 4
    nothing = radio_use(np.zeros(0), np.zeros(0), np.zeros(0, bool), UNIT)
    assert (nothing.connections, nothing.energy_j) == (0, 0.0)


def test_models_differ_and_can_be_replaced() -> None:
    """The same update on two radios, and on one that sends at twice the power."""
    update = lab.push(size=9000).update()
    slow, quick = update.cost(model="nb-iot").radio, update.cost(model="lte-m").radio
    assert slow.rx_s > 10 * quick.rx_s
    strong = dataclasses.replace(MODELS["nb-iot"], tx_mw=2 * MODELS["nb-iot"].tx_mw)
    extra = update.cost(model=strong).radio.energy_j - slow.energy_j
    assert extra == pytest.approx(slow.tx_s * MODELS["nb-iot"].tx_mw / 1000)


def test_the_price_is_bytes_times_price() -> None:
    """A MB has 1 000 000 bytes."""
    cost = lab.push(size=9000).update().cost(price_per_mb=2.0)
    assert cost.price == cost.total_bytes * 2e-6
    assert "at 2 per MB" in str(cost)


def test_gaps_and_the_doors_that_close_in_them(ready: Any, image: bytes) -> None:
    """40 s of silence, then the server; 400 s, then the device."""
    ready.push(image, upto=2)
    ready.wait(40)
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute()
    ready.wait(400).register()
    ready.read("/5/0/5", 1)
    update = ready.capture().update()
    doors = [(gap.door, gap.by, round(gap.seconds)) for gap in update.cost(nat_timeout_s=30).gaps]
    assert doors == [("NAT", "server", 40), ("NAT", "device", 400)]
    assert [gap.door for gap in update.cost(psm=10).gaps] == ["PSM"]
    assert update.cost(psm=30).gaps == ()
    assert [gap.door for gap in update.cost(edrx=20.48).gaps] == ["eDRX"]
    assert "not heard" in str(update.cost(nat_timeout_s=30))


def test_what_cannot_be_counted_with() -> None:
    """Unknown models, numbers below zero."""
    update = lab.push(size=9000).update()
    for wrong in ({"model": "5g"}, {"price_per_mb": -1}, {"nat_timeout_s": float("nan")}):
        with pytest.raises(BadInput, match="expected"):
            update.cost(**wrong)
    with pytest.raises(BadInput, match="tx_mw of the radio model"):
        dataclasses.replace(UNIT, tx_mw=-1.0)


def test_it_is_told_on_one_screen() -> None:
    """A table of layers and three lines."""
    cost = lab.push(size=20_000).update().cost()
    assert "payload" in str(cost)
    assert "by the model nb-iot" in str(cost)
    assert "<table" in cost._repr_html_()
