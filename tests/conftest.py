"""What many tests share: the captures kept beside the checkout, and the tools that judge us."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from lwm2m_lab.live.secure import has_dtls
from tests.talks import Talk

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real captures and object files; a user's clone has none, so the test is skipped there."""
    if not (SHARED / "captures" / "MANIFEST.json").exists():
        if os.environ.get("CI"):
            pytest.fail("the real captures are missing beside the checkout; CI has them")
        pytest.skip("needs the real captures beside the checkout (../shared), which a user's clone has not")
    return SHARED


def need_tool(name: str) -> str:
    """Path of a tool; a missing one skips the test on a user's machine and fails it in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed; in CI a skipped check is a failure")
        pytest.skip(f"needs {name}, which is not installed here")
    return path


@pytest.fixture(scope="session")
def tshark() -> str:
    """Path of tshark."""
    return need_tool("tshark")


@pytest.fixture(scope="session")
def editcap() -> str:
    """Path of editcap."""
    return need_tool("editcap")


@pytest.fixture(scope="session")
def dtls() -> None:
    """Live DTLS, the extra `dtls`: skipped where a user has not installed it, a failure in CI."""
    if not has_dtls():
        if os.environ.get("CI"):
            pytest.fail("DTLSSocket is not installed; make set-up-dtls brings it")
        pytest.skip("needs live DTLS: make set-up-dtls")


@pytest.fixture(name="Talk", scope="session")
def talk_class() -> type[Talk]:
    """The class of TCP connections that are written down."""
    return Talk
