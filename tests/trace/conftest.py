"""A session written down message by message, for the cases that no real capture at hand shows."""

from __future__ import annotations

import pytest

from tests import peers
from tests.peers import Session


@pytest.fixture
def session() -> Session:
    """An empty session."""
    return Session()


@pytest.fixture
def ready() -> Session:
    """A session in which a device has registered and runs 1.0.0 in State 0."""
    return Session("ready")


@pytest.fixture
def image() -> bytes:
    """An image of 2.1.0."""
    return peers.image()
