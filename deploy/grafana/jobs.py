"""*Jobs and SLA*: what customers get."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import uids
from deploy.grafana.frame import Row, dashboard, labels_of
from deploy.grafana.panels import GREEN, HPC, MUTED, ORANGE, PURPLE, RED, YELLOW, bars, lines, numbers, rows
from deploy.grafana.parts import COUNT, Panel
from deploy.grafana.queries import (
    NEAREST,
    RANGE,
    RATE,
    SITE,
    Query,
    booked_per_hour,
    gauge,
    highest,
    increase,
    per_hour,
    rate,
    total,
)

TENANT = 'tenant=~"$tenant"'
HPC_ALONE = 'account="hpc"'
MET = increase("jobs_ended_total", RANGE, labels='outcome="on_time"')
OPEN = 'phase!~"succeeded|failed"'
BY_PHASE = f"sum by (phase) ({gauge('jobs', 'sla_class, phase', OPEN)})"
PHASES = {"running": HPC, "waiting": YELLOW, "paused": ORANGE, "stopping": PURPLE}
CLASSES = {"guaranteed": RED, "flexible": ORANGE, "best-effort": YELLOW}
"""By how bad it is to touch them."""
CURVES = 6
"""So many can be told apart."""
HEIGHT = 10
"""Of ten bars."""
BUDGET = gauge("sla_budget_burnt_ratio", "tenant", TENANT)


def jobs() -> model.Dashboard:
    return dashboard(
        uids.JOBS,
        "Jobs and SLA",
        "What customers get: jobs by class and phase, deadlines at risk, interruptions, credits, and what a GPU earns.",
        [Row("Now", _now()), Row("Jobs", _jobs()), Row("Tenants", _tenants()), Row("GPUs", _gpus())],
        [labels_of("tenant", "tenant", "tenant_power_watts")],
    )


def _of_class(phase: str) -> str:
    return gauge("jobs", "sla_class", f'phase="{phase}"')


def _now() -> list[Panel]:
    return [
        numbers(
            "Jobs",
            "Open jobs of the site by phase.",
            COUNT,
            [Query(BY_PHASE, "{{phase}}")],
            width=5,
        ),
        numbers(
            "At risk",
            "Open jobs with a deadline that the time left does not cover at full speed, or covers with less than a "
            "tenth of it to spare.",
            COUNT,
            [Query(total("jobs_at_risk"))],
            steps=((None, GREEN), (1, ORANGE), (10, RED)),
        ),
        numbers(
            "Guaranteed stops",
            "Interruptions of guaranteed jobs in the time shown. None is allowed, short of a safety limit that nothing "
            "else can meet.",
            COUNT,
            [Query(increase("job_interruptions_total", RANGE, labels='sla_class="guaranteed"'))],
            steps=((None, GREEN), (0.5, RED)),
            width=4,
        ),
        numbers(
            "Deadlines met",
            "Of the jobs that ended in the time shown, those that were on time.",
            "percentunit",
            [Query(f"{MET} / ({increase('jobs_ended_total', RANGE)} > 0)")],
            if_none="none ended",
            steps=((None, MUTED), (0, RED), (0.95, YELLOW), (0.99, GREEN)),
            decimals=1,
        ),
        numbers(
            "Credits",
            "Owed to tenants for the time shown.",
            "currencyUSD",
            [Query(increase("sla_credit_usd_total", RANGE))],
            steps=((None, GREEN), (0.01, ORANGE)),
        ),
        numbers(
            "Budget burnt",
            "Interruptions in the last hour over the tenant's budget, the highest of the tenants chosen.",
            "percentunit",
            [Query(f"max({BUDGET})")],
            steps=((None, GREEN), (0.8, ORANGE), (1, RED)),
            decimals=0,
            if_none="no budget",
        ),
        numbers(
            "Per GPU hour",
            "Revenue of the jobs per busy GPU and hour of site time, the average over the time shown.",
            "currencyUSD",
            [Query(_per_gpu(per_hour(rate("revenue_usd_total", RANGE, labels=HPC_ALONE)), RANGE))],
            decimals=2,
        ),
    ]


def _per_gpu(usd_per_hour: str, window: str) -> str:
    return f"{usd_per_hour} / sum(avg_over_time(wattshift_pool_gpus_busy{{{SITE}}}[{window}]))"


def _jobs() -> list[Panel]:
    return [
        lines(
            "Open jobs by phase",
            "Of all classes, stacked.",
            COUNT,
            [Query(BY_PHASE, "{{phase}}")],
            colours=PHASES,
            is_stacked=True,
            is_stepped=True,
            lowest=0,
            width=8,
        ),
        rows(
            "Jobs by class",
            "How many are in which phase now.",
            "sla_class",
            [
                ("Running", COUNT, _of_class("running")),
                ("Waiting", COUNT, _of_class("waiting")),
                ("Paused", COUNT, _of_class("paused")),
                ("Done", COUNT, _of_class("succeeded")),
                ("Failed", COUNT, _of_class("failed")),
            ],
            width=9,
            height=8,
            sort="Running",
        ),
        lines(
            "At risk by class",
            "Deadlines that are close.",
            COUNT,
            [Query(gauge("jobs_at_risk", "sla_class"), "{{sla_class}}")],
            colours=CLASSES,
            is_stacked=True,
            is_stepped=True,
            lowest=0,
            width=7,
        ),
        lines(
            "Interruptions by class",
            "Jobs paused or stopped to move watts.",
            COUNT,
            colours=CLASSES,
            queries=[Query(increase("job_interruptions_total", RATE, "sla_class"), "{{sla_class}}")],
            is_bars=True,
            points=100,
        ),
        lines(
            "Jobs ended, by outcome",
            "Whether they got what was promised.",
            COUNT,
            colours={"on time": GREEN, "late": ORANGE, "failed": RED},
            queries=[Query(increase("jobs_ended_total", RATE, "outcome"), "{{outcome}}")],
            is_bars=True,
            points=100,
        ),
    ]


def _tenants() -> list[Panel]:
    credit = increase("sla_credit_usd_total", RANGE, "tenant", TENANT)
    return [
        bars(
            "Budget burnt",
            f"Interruptions in the last hour over the tenant's budget, the {NEAREST} highest. Above 100 % it is "
            "overdrawn; a tenant whose budget is 0 has no bar.",
            "percentunit",
            [Query(f"topk({NEAREST}, {BUDGET})", "{{tenant}}")],
            steps=((None, GREEN), (0.8, ORANGE), (1, RED)),
            highest=1,
            height=HEIGHT,
        ),
        bars(
            "Credits",
            f"Owed for the time shown, the {NEAREST} highest.",
            "currencyUSD",
            [Query(f"topk({NEAREST}, {credit})", "{{tenant}}")],
            steps=((None, GREEN), (0.01, ORANGE)),
            height=HEIGHT,
        ),
        lines(
            "Power by tenant",
            f"Of its running jobs: the {CURVES} that were highest in the time shown.",
            "watt",
            [Query(highest(CURVES, "tenant_power_watts", "tenant", TENANT), "{{tenant}}")],
            lowest=0,
            points=120,
            width=8,
            height=HEIGHT,
        ),
    ]


def _gpus() -> list[Panel]:
    return [
        lines(
            "GPUs",
            "Of all pools: installed, and taken by jobs.",
            "short",
            [
                Query(total("pool_gpus_busy"), "Busy", colour=HPC),
                Query(total("pool_gpus"), "Installed", colour=MUTED, is_line=True),
            ],
            is_stepped=True,
            lowest=0,
            width=8,
        ),
        lines(
            "Power of the pools and their setpoints",
            "Of all pools together, at the node.",
            "watt",
            [
                Query(total("pool_power_watts"), "Measured", colour=HPC),
                Query(total("pool_setpoint_watts"), "Setpoint", colour=MUTED, is_line=True),
            ],
            lowest=0,
            width=8,
        ),
        lines(
            "Revenue per busy GPU and hour",
            "Of the jobs, per hour of site time.",
            "currencyUSD",
            [
                Query(
                    _per_gpu(booked_per_hour(rate("revenue_usd_total", RATE, labels=HPC_ALONE), RATE, "hpc"), RATE),
                    "Revenue",
                    colour=GREEN,
                )
            ],
            points=24,
            is_joined=True,
            lowest=0,
            width=8,
        ),
    ]
