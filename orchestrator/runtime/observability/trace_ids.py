"""Which trace a decision is, computed rather than kept: whoever knows the decision's id knows the trace's.

So the trace goes on in a later round, after a restart and in the replica that leads next, and a log line can name the
trace without asking anyone.
"""

import hashlib


def trace_id(site: str, decision_id: str) -> str:
    """32 hexadecimal digits, as OpenTelemetry has it: `printf SITE/DECISION | sha256sum | cut -c 1-32`.

    A hash, since samplers want the digits of an id to be even.
    """
    return _digest(site, decision_id)[:32]


def root_span_id(site: str, decision_id: str) -> str:
    """16 hexadecimal digits: the span that all others of the decision hang on."""
    return _digest(site, decision_id)[32:48]


def _digest(site: str, decision_id: str) -> str:
    return hashlib.sha256(f"{site}/{decision_id}".encode()).hexdigest()
