"""One capture for each rule that makes it speak, and at least one near miss in which it must not.

``TRIGGERS[rule]`` is what the table of rules in the documentation names, and what the tests hold every registered rule
to.
"""

from __future__ import annotations

from tests.trace.triggers import (
    blockwise,
    bodies,
    contexts,
    endings,
    firmware,
    message,
    negotiation,
    object5,
    observe,
    path,
    registration,
    retransmission,
    server,
    version,
)
from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS", "Trigger"]

#: By rule id.
TRIGGERS: dict[str, Trigger] = {
    **message.TRIGGERS,
    **retransmission.TRIGGERS,
    **blockwise.TRIGGERS,
    **negotiation.TRIGGERS,
    **bodies.TRIGGERS,
    **contexts.TRIGGERS,
    **endings.TRIGGERS,
    **observe.TRIGGERS,
    **path.TRIGGERS,
    **object5.TRIGGERS,
    **firmware.TRIGGERS,
    **server.TRIGGERS,
    **registration.TRIGGERS,
    **version.TRIGGERS,
}
