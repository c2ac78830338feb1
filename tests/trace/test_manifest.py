"""Updates of real clients against the ground truth that was written down with their captures."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab

CAPTURES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "captures"

#: Outcome and verdict on the device, with the reason: what `case-files` and the protocol say of each session.
JUDGED = {
    "anjay-cancel-exec-5-0-10": ("cancelled", "PASS"),  # Cancel in Downloaded, Result 10
    "anjay-multi-4-devices/urn:dev:anjay-m3": ("failed", "PASS"),  # a bad CRC refused with Result 5
    "anjay-pull-coap-404": ("failed", "PASS"),  # the repository has nothing there
    "anjay-pull-unsupported-protocol": ("failed", "PASS"),  # a scheme that is not in /5/0/8
    "anjay-push-badcrc": ("failed", "PASS"),  # the image was built wrong, the device refused it
    "anjay-push-deferred": ("deferred", "PASS"),  # Result 11, through State 3 and back (A12)
    "anjay-push-delayed-failure": ("failed", "FAIL"),  # Result 8 and a new /3/0/3: V4
    "anjay-push-link-cut-midway": ("unfinished", "PASS"),  # the link is to blame, nobody else
    "wakaama-push-1024-client-S-256": ("failed", "INCONCLUSIVE"),  # 4.08 to every block after the first
    "wakaama-push-link-cut-midway": ("unfinished", "PASS"),
    "wakaama-raw-client-crash-last-block": ("unfinished", "PASS"),
    # Success, but the demo image says its version in no form that can be read: V1 stays open.
    "anjay": ("succeeded", "INCONCLUSIVE"),
    # The skeleton accepts Execute, shows State 2 and nothing more.
    "wakaama": ("unfinished", "INCONCLUSIVE"),
}


def entries() -> list[dict[str, Any]]:
    """The captures of the manifest in the clear, or with their key."""
    path = CAPTURES / "MANIFEST.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())["captures"]
    return [one for one in found if one.get("block1_size_requested") is not None or keys(one)]


def keys(entry: dict[str, Any]) -> dict[str, str]:
    """The pre-shared key of a capture, by its identity."""
    dtls = entry.get("dtls", {})
    return {dtls["psk_identity"]: dtls["psk_hex"]} if "psk_hex" in dtls else {}


def seen(values: list[Any]) -> list[Any]:
    """The manifest's sequence without refused reads, repeats dropped."""
    kept = [
        one for one in values if not (isinstance(one, str) and one[:1] in "45" and one[1:2] == "." and len(one) == 4)
    ]
    return [one for at, one in enumerate(kept) if at == 0 or one != kept[at - 1]]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: pathlib.Path(entry["file"]).stem)
def test_updates_are_those_of_the_manifest(entry: dict[str, Any]) -> None:
    """Endpoint, delivery, image, states, results and versions of every device, and outcome and verdict."""
    capture = lab.read(CAPTURES / entry["file"], psk=keys(entry))
    updates = {row["endpoint"]: row for row in capture.updates.to_dict("records")}
    assert set(updates) == set(entry["devices"])
    parts = entry["reassembled_from_capture"]
    images = {one["image_sha256"] for one in entry["images"]}
    for endpoint, device in entry["devices"].items():
        update = updates[endpoint]
        assert update["states"] == seen(device["state_sequence"])
        assert update["results"] == seen(device["update_result_sequence"])
        assert update["pkg_versions"] == seen(device["pkg_version_5_0_7"])
        assert update["firmware_versions"] == seen(device["firmware_version_3_0_3"])
        after = update["firmware_version_after"]
        # The manifest gives the last value read, even where that was before the update.
        assert (after or update["firmware_version_before"]) == entry["outcome"][endpoint]["fw_version_after"]
        pulled = "pull" in capture.name or endpoint in ("urn:dev:anjay-m2", "urn:dev:anjay-m4")
        assert update["delivery"] == ("pull" if pulled else "push")
        if update["image_sha256"] is None:
            assert not any(part["sha256"] in images for part in parts)
        else:
            assert update["image_sha256"] in images
        name = capture.name.split(".")[0]
        known_as = (f"{name}/{endpoint}", name, name.split("-")[0])
        judged = next(JUDGED[key] for key in known_as if key in JUDGED)
        assert (update["outcome"], update["verdict"]) == judged


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: pathlib.Path(entry["file"]).stem)
def test_healthy_sessions_give_no_failure(entry: dict[str, Any]) -> None:
    """A false alarm is as grave as a miss: a success without loss has no finding that fails."""
    explanation = lab.explain(lab.read(CAPTURES / entry["file"], psk=keys(entry)))
    for update in explanation.updates:
        if update.outcome == "succeeded":
            mine = [one for one in explanation.findings if one.endpoint == update.endpoint]
            assert [str(one) for one in mine if one.verdict == "FAIL"] == []


def test_the_other_end_of_a_lossy_link(shared: pathlib.Path) -> None:
    """Both sides of one session tell the same update; only retransmissions and times may differ."""
    base = shared / "captures" / "anjay" / "anjay-push-lossy-80ms-7pct"
    server, client = (lab.read(f"{base}{end}").update(0) for end in (".pcap", ".client-side.pcap"))
    for name in ("endpoint", "states", "results", "firmware_versions", "image_sha256", "outcome", "verdict"):
        assert getattr(server, name) == getattr(client, name)


def test_encrypted_captures_say_so() -> None:
    """A capture of DTLS ends in the number of its records, not in an empty table."""
    explanation = lab.explain("anjay-dtls-psk")
    assert explanation.capture.columns.rows == 0
    assert f"encrypted: {explanation.capture.encrypted_records} records" in str(explanation)
    assert explanation.to_dict()["encrypted_records"] == explanation.capture.encrypted_records > 50


def test_encrypted_records_are_counted_as_tshark_counts(shared: pathlib.Path, tshark: str) -> None:
    """Records of epoch 1 and later, Connection ID or not."""
    import subprocess

    for path in sorted((shared / "captures" / "anjay").glob("*dtls*.pcap")):
        command = [tshark, "-r", str(path), "-Y", "dtls", "-T", "fields", "-e", "dtls.record.epoch"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        epochs = [int(one) for line in shown.splitlines() for one in line.split(",") if one]
        assert lab.read(path).encrypted_records == sum(epoch > 0 for epoch in epochs)
