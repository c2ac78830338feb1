"""Rules over the tables of a capture, and what they conclude.

A rule is one small function: it is given a `Case` (one update, with its capture) and yields findings. The decorator
`rule` names it and puts it into the registry; a rule of the user's own is five lines in a notebook.
"""

from lwm2m_lab.trace.findings import (
    blockwise,
    bodies,
    contexts,
    editions,
    endings,
    firmware,
    lateness,
    message,
    negotiation,
    object5,
    observe,
    path,
    registration,
    retransmission,
    server,
    stopping,
    version,
)
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import RULES, Conclusion, Finding, Rule, Said, Verdict, findings_of, judge, rule

__all__ = [
    "RULES",
    "Case",
    "Conclusion",
    "Finding",
    "Rule",
    "Said",
    "Verdict",
    "blockwise",
    "bodies",
    "contexts",
    "editions",
    "endings",
    "findings_of",
    "firmware",
    "judge",
    "lateness",
    "message",
    "negotiation",
    "object5",
    "observe",
    "path",
    "registration",
    "retransmission",
    "rule",
    "server",
    "stopping",
    "version",
]
