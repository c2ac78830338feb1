"""Radio models: what a byte and a second on the air cost. Engineering assumptions, stated, to be overridden."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput

__all__ = ["MODELS", "Radio", "RadioModel", "radio_model"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RadioModel:
    """What a device's radio takes while it sends, receives, listens and sleeps.

    The two models that come with the lab, ``"nb-iot"`` and ``"lte-m"``, are engineering assumptions: powers of the
    order that modules' data sheets give at 3.6 V (sending at 23 dBm), rates as those of ``lab.Link.nb_iot()`` and
    ``lab.Link.lte_m()``, timers as networks often set them. None of them is in a capture. Coverage, repetitions, module
    and operator change each by factors: put your own in with ``dataclasses.replace`` or a model of your own.

    Attributes
    ----------
    name : str
    up_bps, down_bps : float
        Bits per second on the air.
    tx_mw, rx_mw : float
        Milliwatts while sending and while receiving.
    connected_mw : float
        Milliwatts while connected with nothing on the air (C-DRX).
    sleep_mw : float
        Milliwatts while asleep (PSM) or between pagings.
    inactivity_s : float
        Seconds that the network keeps the connection after the last packet.
    setup_s, setup_mw : float
        Seconds and milliwatts of coming from sleep to a connection, and of leaving it.

    Raises
    ------
    BadInput
        For a number that is negative or none.

    Examples
    --------
    >>> import dataclasses
    >>> dataclasses.replace(MODELS["nb-iot"], tx_mw=900.0).tx_mw
    900.0
    """

    name: str
    up_bps: float
    down_bps: float
    tx_mw: float
    rx_mw: float
    connected_mw: float
    sleep_mw: float
    inactivity_s: float
    setup_s: float
    setup_mw: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "name":
                continue
            least = 1.0 if field.name.endswith("_bps") else 0.0
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                raise BadInput(
                    f"{field.name} of the radio model is {value!r}; a finite number of {least:g} or more is expected"
                )


#: The models by name.
MODELS = {
    "nb-iot": RadioModel(
        name="nb-iot", up_bps=30e3, down_bps=20e3, tx_mw=720.0, rx_mw=210.0, connected_mw=25.0, sleep_mw=0.015,
        inactivity_s=20.0, setup_s=2.0, setup_mw=250.0,
    ),
    "lte-m": RadioModel(
        name="lte-m", up_bps=375e3, down_bps=300e3, tx_mw=1300.0, rx_mw=250.0, connected_mw=60.0, sleep_mw=0.015,
        inactivity_s=10.0, setup_s=0.5, setup_mw=400.0,
    ),
}  # fmt: skip


def radio_model(model: str | RadioModel) -> RadioModel:
    """A model by its name, or as it is.

    Raises
    ------
    BadInput
        For a name that no model has.

    Examples
    --------
    >>> radio_model("lora")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: model is 'lora'; 'nb-iot', 'lte-m' or a RadioModel is expected
    """
    if isinstance(model, RadioModel):
        return model
    if model not in MODELS:
        raise BadInput(f"model is {model!r}; {', '.join(map(repr, MODELS))} or a RadioModel is expected")
    return MODELS[model]


@dataclass(frozen=True, kw_only=True)
class Radio:
    """What the radio did.

    Attributes
    ----------
    connections : int
        How often it came from sleep to a connection.
    tx_s, rx_s, connected_s, setup_s, sleep_s : float
        Seconds of sending, receiving, being connected with nothing on the air, setting up, and sleeping.
    energy_j : float
        Joules.
    """

    connections: int
    tx_s: float
    rx_s: float
    connected_s: float
    setup_s: float
    sleep_s: float
    energy_j: float

    @property
    def on_s(self) -> float:
        """Seconds that the radio is on."""
        return self.tx_s + self.rx_s + self.connected_s + self.setup_s


def radio_use(time_s: Floats, size: Floats, up: NDArray[np.bool_], model: RadioModel) -> Radio:
    """What the radio did for these packets, from the first one until the network lets the last connection go.

    Parameters
    ----------
    time_s, size : arrays of float
        When each packet passed, in order, and its bytes.
    up : array of bool
        Whether the device sent it.
    """
    gaps = np.diff(time_s)
    awake = np.minimum(gaps, model.inactivity_s)
    connections = 1 + int((gaps > model.inactivity_s).sum()) if len(time_s) else 0
    window = float(awake.sum()) + (model.inactivity_s if len(time_s) else 0.0)
    tx, rx = 8 * float(size[up].sum()) / model.up_bps, 8 * float(size[~up].sum()) / model.down_bps
    setup = connections * model.setup_s
    # Setting up again falls into the pause before it: that much less is slept.
    sleep = max(float((gaps - awake).sum()) - max(connections - 1, 0) * model.setup_s, 0.0)
    connected = max(window - tx - rx, 0.0)
    energy = (
        tx * model.tx_mw + rx * model.rx_mw + connected * model.connected_mw + setup * model.setup_mw
        + sleep * model.sleep_mw
    ) / 1000  # fmt: skip
    return Radio(
        connections=connections, tx_s=tx, rx_s=rx, connected_s=connected, setup_s=setup, sleep_s=sleep, energy_j=energy
    )
