"""Sessions written down message by message, as the tests of the trace have them."""

from tests.trace.conftest import image, ready, session

__all__ = ["image", "ready", "session"]
