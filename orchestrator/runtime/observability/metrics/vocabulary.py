"""The labels that metric families share, their values, and buckets."""

from collections.abc import Iterable

from orchestrator.domain.decision import OutcomeState
from orchestrator.domain.sla import SlaClass
from orchestrator.runtime.observability.metrics.family import PREFIX, Family, Kind, Label

WHOLE = "whole"
"""A round from its beginning to its end, beside its parts."""
USES = ("mining", "hpc", "overhead")
IT_USES = ("mining", "hpc")
INPUTS = ("price", "hashprice", "temperature", "telemetry")
STAGES = ("price_seen", "decided", "sent", "acknowledged", "measured")
TARGETS = ("fleet", "job", "pool")
ENDS = ("on_time", "late", "failed")
"""How a job's record ends (`JobRecord.outcome`)."""
OUTCOMES = tuple(state.value for state in OutcomeState if state is not OutcomeState.SENT)
"""What is put on record of an action: it goes there with its answer, so never as merely sent."""

LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""From an order answered at once to watts that move slowly; a demo at 60x counts a wall second as a minute."""
ROUND_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def one_of(name: str, values: Iterable[str]) -> Label:
    return Label(name, tuple(str(value) for value in values))


USE_LABEL = one_of("use", USES)
IT_USE_LABEL = one_of("use", IT_USES)
ACCOUNT_LABEL = one_of("account", USES)
PAYING_LABEL = Label("account")
"""Uses, and the site's charges."""
EARNING_LABEL = one_of("account", IT_USES)
INPUT_LABEL = one_of("input", INPUTS)
CLASS_LABEL = one_of("sla_class", SlaClass)
FLEET_LABEL, POOL_LABEL, FEEDER_LABEL, TENANT_LABEL = Label("fleet"), Label("pool"), Label("feeder"), Label("tenant")
METER_LABEL = Label("meter")
"""`grid` or a feeder."""
DEVICES_LABEL = Label("devices")
"""A fleet or a pool: no two of them have one name."""


def gauge(name: str, help: str, *labels: Label, unit: str = "") -> Family:
    return Family(PREFIX + name, Kind.GAUGE, help, labels, unit)


def counter(name: str, help: str, *labels: Label, unit: str = "") -> Family:
    return Family(PREFIX + name, Kind.COUNTER, help, labels, unit)
