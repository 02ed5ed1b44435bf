"""Every metric family of the controller: the one table from which it exports and `docs/metrics.md` is made."""

from collections.abc import Iterable
from types import MappingProxyType

from orchestrator.controller.rounds import Part, Result
from orchestrator.domain.decision import BreachKind, OutcomeState, Trigger
from orchestrator.domain.market import PRICE_BASES
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import JobPhase
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


def _one_of(name: str, values: Iterable[str]) -> Label:
    return Label(name, tuple(str(value) for value in values))


_USE = _one_of("use", USES)
_IT_USE = _one_of("use", IT_USES)
_ACCOUNT = _one_of("account", USES)
_PAYING = Label("account")
"""Uses, and the site's charges."""
_EARNING = _one_of("account", IT_USES)
_INPUT = _one_of("input", INPUTS)
_CLASS = _one_of("sla_class", SlaClass)
_FLEET, _POOL, _FEEDER, _TENANT = Label("fleet"), Label("pool"), Label("feeder"), Label("tenant")
_METER = Label("meter")
"""`grid` or a feeder."""
_DEVICES = Label("devices")
"""A fleet or a pool: no two of them have one name."""


def _gauge(name: str, help: str, *labels: Label, unit: str = "") -> Family:
    return Family(PREFIX + name, Kind.GAUGE, help, labels, unit)


def _counter(name: str, help: str, *labels: Label, unit: str = "") -> Family:
    return Family(PREFIX + name, Kind.COUNTER, help, labels, unit)


SECTIONS: tuple[tuple[str, tuple[Family, ...]], ...] = (
    (
        "The process",
        (
            Family(PREFIX + "build_info", Kind.INFO, "The running version.", (Label("version"),)),
            Family(
                PREFIX + "site_info",
                Kind.INFO,
                "Whether site time is simulated, and how many of its seconds pass in one on the wall.",
                (_one_of("simulated", ("true", "false")), Label("speed")),
            ),
            _gauge("site_speed_ratio", "The same speed as a number: 1 on a real site.", unit="ratio"),
            _gauge("leader", "1 where this controller leads, 0 where it stands by; on a cluster only."),
            _gauge(
                "store_shared",
                "1 where the store lets two replicas run, so that a standby is expected; on a cluster only.",
            ),
        ),
    ),
    (
        "Power against limits",
        (
            _gauge(
                "power_watts",
                "Power by use, by devices. Mining and HPC are IT power, overhead is cooling and distribution by PUE.",
                _USE,
                unit="watts",
            ),
            _gauge("setpoint_watts", "IT power that the setpoints in force should draw.", _IT_USE, unit="watts"),
            _gauge(
                "grid_power_watts",
                "Power by the connection's meter if fresh, else of all uses.",
                unit="watts",
            ),
            _gauge(
                "power_assumed_watts",
                "Of the power at the grid connection, what no fresh reading has measured.",
                unit="watts",
            ),
            _gauge(
                "power_suspect_watts",
                "What suspect readings of devices claim, before cooling; it is counted nowhere.",
                unit="watts",
            ),
            _gauge("grid_limit_watts", "The cap on the grid connection in force, orders included.", unit="watts"),
            _gauge("grid_connection_watts", "The grid connection's limit by the site file.", unit="watts"),
            _gauge(
                "feeder_power_watts",
                "Power by its meter if fresh, else by its devices.",
                _FEEDER,
                unit="watts",
            ),
            _gauge(
                "feeder_power_assumed_watts",
                "Of that, what no fresh reading has measured.",
                _FEEDER,
                unit="watts",
            ),
            _gauge("feeder_limit_watts", "The feeder's limit.", _FEEDER, unit="watts"),
            _gauge(
                "tenant_power_watts",
                "IT power of its running jobs: their share, by GPUs, of what their pool measures.",
                _TENANT,
                unit="watts",
            ),
        ),
    ),
    (
        "Meters",
        (
            _gauge(
                "meter_watts",
                "Power that comes by; absent where no reading is fresh and can be true.",
                _METER,
                unit="watts",
            ),
            _gauge("meter_silent", "1 where no reading is fresh and can be true, else 0.", _METER),
            _gauge("meter_suspect", "1 where the reading cannot be true, else 0.", _METER),
            _gauge(
                "meter_residual_watts",
                "What comes by and no fresh reading of a device explains, by PUE; absent where the meter is silent.",
                _METER,
                unit="watts",
            ),
            _gauge(
                "meter_energy_joules",
                "Energy that came by over the last 24 hours, by the record.",
                _METER,
                unit="joules",
            ),
            _gauge(
                "meter_residual_joules",
                "Of it, what is booked of no device; below 0 where more is booked than came by.",
                _METER,
                unit="joules",
            ),
            _gauge(
                "meter_bias_ratio",
                "Share by which a fleet or pool draws more than its readings say, as learnt from the meters.",
                _DEVICES,
                unit="ratio",
            ),
            _gauge("meter_bias_spread_ratio", "One standard deviation of that.", _DEVICES, unit="ratio"),
            _gauge("meter_bias_moved", "1 where that is another than over the days before, else 0.", _DEVICES),
        ),
    ),
    (
        "Fleets and pools",
        (
            _gauge(
                "fleet_power_watts",
                "IT power: measured, and what is assumed of silent racks; absent where all are silent.",
                _FLEET,
                unit="watts",
            ),
            _gauge("fleet_setpoint_watts", "IT power that its setpoint should draw.", _FLEET, unit="watts"),
            _gauge(
                "fleet_hashrate_hashes_per_second",
                "Measured; absent where nothing is.",
                _FLEET,
                unit="hashes_per_second",
            ),
            _gauge("fleet_racks", "Racks that there are.", _FLEET),
            _gauge("fleet_racks_awake", "Racks whose setpoint is not sleep.", _FLEET),
            _gauge("fleet_racks_silent", "Racks without a fresh reading.", _FLEET),
            _gauge("fleet_racks_suspect", "Racks with a reading that cannot be true.", _FLEET),
            _gauge(
                "fleet_unexplained_watts",
                "Of its racks that draw more than their setpoint explains, what is beyond it.",
                _FLEET,
                unit="watts",
            ),
            _gauge("fleet_racks_stuck", "Racks that did not follow a power-down in time.", _FLEET),
            _gauge(
                "pool_power_watts",
                "IT power: measured, and what is assumed of silent nodes; absent where all are silent.",
                _POOL,
                unit="watts",
            ),
            _gauge(
                "pool_setpoint_watts",
                "IT power of idle nodes and of the running jobs at the GPUs' power limit.",
                _POOL,
                unit="watts",
            ),
            _gauge("pool_gpus", "GPUs that there are.", _POOL),
            _gauge("pool_gpus_busy", "GPUs that jobs hold.", _POOL),
            _gauge("pool_nodes_silent", "Nodes without a fresh reading.", _POOL),
            _gauge("pool_nodes_suspect", "Nodes with a reading that cannot be true.", _POOL),
            _gauge(
                "devices_estimated",
                "Racks and nodes whose energy or hash is integrated from power, for want of a counter.",
            ),
        ),
    ),
    (
        "Prices and other inputs",
        (
            _gauge("price_usd_per_mwh", "The price of energy in force.", unit="usd_per_mwh"),
            _gauge("price_basis", "1 for the source of the price in force.", _one_of("basis", PRICE_BASES)),
            _gauge(
                "day_ahead_price_usd_per_mwh",
                "The day-ahead price of this hour; absent where unknown.",
                unit="usd_per_mwh",
            ),
            _gauge(
                "break_even_usd_per_mwh",
                "The price of energy above which the fleet's most efficient mode loses money.",
                _FLEET,
                unit="usd_per_mwh",
            ),
            _gauge("hashprice_usd_per_phs_day", "USD per PH/s and day, in force.", unit="usd_per_phs_day"),
            _gauge("outdoor_celsius", "Outdoor temperature in force.", unit="celsius"),
            _gauge("pue_ratio", "Power at the grid over IT power, by the outdoor temperature.", unit="ratio"),
            _gauge(
                "pue_measured_ratio",
                "The same by the grid connection's meter over all devices; absent where one of them is not measured.",
                unit="ratio",
            ),
            _gauge(
                "input_age_seconds",
                "Age by site time: since the newest reading; for the price since the end of the newest real-time "
                "interval, never below 0; for telemetry since the device read longest ago was. Absent before the first "
                "reading.",
                _INPUT,
                unit="seconds",
            ),
            _gauge("input_stale", "1 while the stale policy holds in place of a fresh reading.", _INPUT),
        ),
    ),
    (
        "The loop",
        (
            Family(
                PREFIX + "round_seconds",
                Kind.HISTOGRAM,
                "Wall time of the control loop's rounds, by part and as a whole.",
                (_one_of("part", (*Part, WHOLE)),),
                "seconds",
                ROUND_BUCKETS_S,
            ),
            _counter("rounds_total", "Rounds of the control loop by how they ended.", _one_of("result", Result)),
            _gauge(
                "last_round_timestamp_seconds",
                "Wall time, unix, at which the last round ended that ended well.",
                unit="seconds",
            ),
            Family(
                PREFIX + "decision_latency_seconds",
                Kind.HISTOGRAM,
                "Site time since a price was published or an order accepted, until: the round that saw it began, its "
                "decision was on disk, each action was sent, was acknowledged, and showed in the meter.",
                (_one_of("stage", STAGES),),
                "seconds",
                LATENCY_BUCKETS_S,
            ),
            _counter("decisions_total", "Decisions made.", _one_of("trigger", Trigger)),
            _counter(
                "actions_total",
                "Actions by what they move and what came of them; one that is acknowledged comes to another end later.",
                _one_of("kind", TARGETS),
                _one_of("state", OUTCOMES),
            ),
            _gauge("actions_pending", "Actions acknowledged that do not show in the meter yet."),
            _counter("breaches_total", "Breaches opened.", _one_of("kind", BreachKind)),
            _gauge("breaches_active", "Breaches open now.", _one_of("kind", BreachKind)),
            _gauge("curtailments_active", "Curtailment orders in force."),
            _gauge("watched_objects", "What the workload driver sees.", _one_of("kind", ("fleet", "job"))),
        ),
    ),
    (
        "The plan",
        (
            _gauge(
                "plan_age_seconds",
                "Site time since the plan in force was made. Before the first, nothing of the plan is there but "
                "`wattshift_plan_failed` and `wattshift_plan_blocked`.",
                unit="seconds",
            ),
            _gauge(
                "plan_gap_ratio",
                "(bound - profit) / |bound|, or a twentieth of revenue and energy together where that is more: at most "
                "so much is left on the table.",
                unit="ratio",
            ),
            _gauge("plan_sound", "1 where the gap is at most 3 %."),
            _gauge("plan_profit_usd", "Expected over the 24 hours from when it was made.", unit="usd"),
            _gauge("plan_bound_usd", "What no plan could exceed on the same forecasts.", unit="usd"),
            _gauge("plan_failed", "1 where the newest attempt to plan failed or is late."),
            _gauge("plan_blocked", "1 while a plan is due and too little of the site is measured for one."),
            _gauge(
                "plan_broken_promises",
                "Promises that the plan can't keep; while it is not sound, those alone that no plan could.",
            ),
            _gauge("plan_solve_seconds", "Wall time that it took to make.", unit="seconds"),
        ),
    ),
    (
        "Energy and money",
        (
            _counter("energy_joules_total", "Energy settled.", _ACCOUNT, unit="joules"),
            _counter(
                "energy_estimated_joules_total",
                "Of it, what is integrated from power for want of a counter.",
                _ACCOUNT,
                unit="joules",
            ),
            _counter(
                "parked_total",
                "Jumps of counters that cannot be true, parked on `unaccounted` until somebody accounts for them.",
            ),
            _counter("revenue_usd_total", "Revenue settled.", _EARNING, unit="usd"),
            _counter(
                "energy_cost_usd_total",
                "Paid for energy at prices above 0; of a charge, as `ppa`: what it cost more than the market; of "
                "`residual`, where there is a meter: what it counted and no device explains.",
                _PAYING,
                unit="usd",
            ),
            _counter(
                "energy_income_usd_total",
                "Earned with energy taken at prices below 0; of a charge, as `ppa`: what it cost less than the market.",
                _PAYING,
                unit="usd",
            ),
            _counter("sla_credit_usd_total", "Credited for promises not kept.", _TENANT, unit="usd"),
            _counter(
                "always_on_revenue_usd_total",
                "Modelled: what every rack in its fleet's default mode, as far as the caps let it, would have brought; "
                "and HPC's revenue as it was.",
                unit="usd",
            ),
            _counter(
                "always_on_energy_cost_usd_total",
                "Modelled: what that would have cost at prices above 0, HPC's energy as it was.",
                unit="usd",
            ),
            _counter(
                "always_on_energy_income_usd_total",
                "Modelled: what that would have earned at prices below 0, HPC's energy as it was.",
                unit="usd",
            ),
        ),
    ),
    (
        "Jobs and promises",
        (
            _gauge("jobs", "Jobs that the workload driver lists.", _CLASS, _one_of("phase", JobPhase)),
            _gauge(
                "jobs_at_risk",
                "Open jobs that would take more than 90 % of the time left before their deadline at full speed.",
                _CLASS,
            ),
            _gauge(
                "jobs_estimated",
                "Open jobs whose progress is estimated from GPUs and time, for want of a reading.",
                _CLASS,
            ),
            _counter("job_interruptions_total", "Interruptions of jobs, whoever caused them.", _CLASS),
            _counter(
                "jobs_ended_total",
                "Jobs by how their promise ended; one that is late counts at its deadline.",
                _CLASS,
                _one_of("outcome", ENDS),
            ),
            _gauge(
                "sla_budget_burnt_ratio",
                "Jobs interrupted in the last hour over the tenant's budget; absent where the budget is 0.",
                _TENANT,
                unit="ratio",
            ),
        ),
    ),
)

FAMILIES = MappingProxyType(
    {family.name.removeprefix(PREFIX): family for _, families in SECTIONS for family in families}
)
"""By name without the prefix."""
