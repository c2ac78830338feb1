"""The sample captures: one registry with name, file, origin and what each shows."""

from __future__ import annotations

import difflib
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SAMPLES", "Sample", "known", "meant", "path_of", "samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes
    ----------
    name, file : str
    sha256 : str
        Of the file.
    client, server : str
        Whose session it is.
    shows : str
        What to look for.
    """

    name: str
    file: str
    sha256: str
    client: str
    server: str
    shows: str


_ANJAY = "Anjay demo client, 3.13.1 updating itself to 3.14.0"
_WAKAAMA = "Wakaama example client"
_SCRIPT = "aiocoap 0.4.17 with a short LwM2M server script"
#: Peers of the lab's own, written down message by message.
_WRITTEN, _REPOSITORY = "written down, no client's session", "written down, with a repository over DTLS"

#: In the order in which a reader meets them.
SAMPLES: tuple[Sample, ...] = (
    Sample(
        "anjay-push-256-ok",
        "anjay-push-256-ok.pcap",
        "df1da10a94fdf8eb6bebb21065bd2a6a0ffaf8dc73367d82dfb3fc5fe0e569a6",
        _ANJAY,
        _SCRIPT,
        "a push that succeeds, in blocks of 256 bytes: /3/0/3 goes from 3.13.1 to 3.14.0",
    ),
    Sample(
        "anjay-pull-coap-404",
        "anjay-pull-coap-404.pcap",
        "3140e9c7ba13d3d50cbf2ece056bd2c9711f52fdef1d3b3f7dfa990c2a1d3b00",
        _ANJAY,
        "aiocoap 0.4.17 with a short LwM2M server script; libcoap's coap-server as repository",
        "a pull whose repository answers 4.04: Result 7, and State 0 told before it",
    ),
    Sample(
        "anjay-push-badcrc",
        "anjay-push-badcrc.pcap",
        "65f28cd9dd10f32b2e56d7c9aaa97237ddd604c82faf7dea001f4c958f254ed6",
        _ANJAY,
        _SCRIPT,
        "every block acknowledged, the last with 2.04, and Result 5 all the same",
    ),
    Sample(
        "anjay-push-same-version",
        "anjay-push-same-version.pcap",
        "bbcb95cf75ddeba332f571c650c1c05cde0c11d59d453db9d0331dd3d94ce3ed",
        _ANJAY,
        _SCRIPT,
        "Result 1 and /3/0/3 as before: success without change",
    ),
    Sample(
        "anjay-push-delayed-failure",
        "anjay-push-delayed-failure.pcap",
        "eaa0ec1164f715ff19689998a7b7c0b22aca06cb1f902b060c6f22eebc6e24da",
        _ANJAY,
        _SCRIPT,
        "Result 8 and a new /3/0/3: failed, and yet it moved",
    ),
    Sample(
        "anjay-push-link-cut-midway",
        "anjay-push-link-cut-midway.pcap",
        "676e652886a1b6113b83a9c3ce45e2ba7f9be96acc71801fdb727b26e1ba9f4f",
        _ANJAY,
        _SCRIPT,
        "the link goes down after block 11; block 12 is sent five times, afterwards every reading is 5.03",
    ),
    Sample(
        "wakaama-push-lossy",
        "wakaama-push-lossy-80ms-7pct.pcap",
        "1b64acf4785611e94759138a8d73b00fa428b32ac1974a3cfd3945ae0db91fca",
        _WAKAAMA,
        _SCRIPT,
        "7 % loss, 80 ms each way: retransmissions; Object 5 is a skeleton that starts in State 1",
    ),
    Sample(
        "anjay-dtls-psk",
        "anjay-dtls-psk-push-ok.pcap",
        "317462badf7a1c4ef1f34023c3450e6bc9e2a625873e394566ac4b4dbc5373fa",
        _ANJAY,
        "AVSystem's test framework",
        "a push over DTLS with a pre-shared key: encrypted records",
    ),
    Sample(
        "anjay-push-link-cut-client",
        "anjay-push-link-cut-midway.client-side.pcap",
        "6b01e4305ccd7e941ed8b83b558abfbed842426f55c90a777f5d3f399c2ea0ee",
        _ANJAY,
        _SCRIPT,
        "the same cut from the other end of the link: block 12 never arrives",
    ),
    Sample(
        "wakaama-push-link-cut",
        "wakaama-push-link-cut-midway.pcap",
        "bd456f7e9e7e30093b8b94db49bc8db8596a1ca19287fc302ee59dc17d714ada",
        _WAKAAMA,
        _SCRIPT,
        "another client in the same spot: readings are answered 2.05 with half a body there",
    ),
    Sample(
        "anjay-push-deferred",
        "anjay-push-deferred.pcap",
        "895bcd1bceac369a260ac1934ddbebc1409ffe0492991b2d39ab6cff1e6ae037",
        _ANJAY,
        _SCRIPT,
        "the user may defer: Execute is answered 2.04, and State goes 2, 3, 2 with Result 11",
    ),
    Sample(
        "anjay-cancel",
        "anjay-cancel-exec-5-0-10.pcap",
        "4fcf16cfba962d1aaa74c0ef4b93410af9b3b6757a999484503185690474e23f",
        _ANJAY,
        _SCRIPT,
        "Cancel in Downloaded: back to State 0 with Result 10, and the firmware as before",
    ),
    Sample(
        "anjay-pull-http",
        "anjay-pull-http-ok.pcap",
        "ec1402dabf1c5db6c9c1fde5c07b2e1e51d32fe84f703f9fe7e93824a774e640",
        _ANJAY,
        "aiocoap 0.4.17 with a short LwM2M server script; Python's http.server as repository",
        "a pull by HTTP: one GET outside CoAP, the image in one response, State and Result by CoAP as ever",
    ),
    Sample(
        "coaps-pull-rest",
        "lab-coaps-pull-rest.pcapng",
        "7c233a2cfe34efd1905594b2dc38022d95fb61c0ce224682bfc99619f617603c",
        _WRITTEN,
        _REPOSITORY,
        "a download over coaps rests an hour behind a NAT: another port, no Connection ID, silence, a new handshake",
    ),
    Sample(
        "coaps-pull-rest-cid",
        "lab-coaps-pull-rest-cid.pcapng",
        "defa88245968d23217aae474baf3af826cbbe2ce063d1e191537c9ccf0776bae",
        _WRITTEN,
        _REPOSITORY,
        "the same with a Connection ID: the session is found by it, and the download goes on",
    ),
)


def known(name: str) -> bool:
    """Whether a sample has this name."""
    return any(name == sample.name for sample in SAMPLES)


def meant(name: str) -> str | pathlib.Path:
    """The file of a sample, for its name; any other word as it is, for it is the path of a file.

    Raises
    ------
    BadInput
        For a word that is nearly the name of a sample.
    """
    if known(name):
        return path_of(name)
    near = (
        [] if pathlib.Path(name).suffix else difflib.get_close_matches(name, [one.name for one in SAMPLES], cutoff=0.8)
    )
    if near:
        raise BadInput(f"there is no file and no sample {name!r}; one like {' or '.join(near)} is expected")
    return name


def path_of(name: str) -> pathlib.Path:
    """Where the file of a sample lies: in the checkout, or inside the installed package.

    Raises
    ------
    BadInput
        For a name that no sample has.
    """
    for sample in SAMPLES:
        if sample.name == name:
            package = pathlib.Path(__file__).resolve().parents[1]
            places = [package.parent / "data" / "captures" / sample.file, package / "_data" / sample.file]
            found = [place for place in places if place.exists()]
            if found:
                return found[0]
            raise BadInput(f"the sample {name!r} is not where it should be ({places[1].name}); install the lab again")
    raise BadInput(f"there is no sample {name!r}; one of {', '.join(sample.name for sample in SAMPLES)} is expected")


def samples() -> pd.DataFrame:
    """The samples that `lwm2m_lab.read` opens by name, and what each shows.

    Examples
    --------
    >>> samples()["name"].iloc[0]
    'anjay-push-256-ok'
    """
    from lwm2m_lab.trace.listing import Listing

    return Listing([{"name": one.name, "client": one.client, "shows": one.shows} for one in SAMPLES])
