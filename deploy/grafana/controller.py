"""*Controller*: whether the one who decides is well."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import uids
from deploy.grafana.frame import Row, dashboard
from deploy.grafana.panels import (
    GREEN,
    MUTED,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    YELLOW,
    lines,
    numbers,
    rows,
    states,
)
from deploy.grafana.parts import COUNT, Panel
from deploy.grafana.queries import RANGE, RATE, SITE, Query, gauge, increase, quantile, rate, total

OURS = f"on (job, instance) group_left () max by (job, instance) (wattshift_build_info{{{SITE}}})"
"""Picks the controllers of the site among all processes that Prometheus scrapes."""


def controller() -> model.Dashboard:
    return dashboard(
        uids.CONTROLLER,
        "Controller",
        "Whether the one who decides is well: leadership, rounds and how long they take, the planner, inputs, and what "
        "watching it costs.",
        [
            Row("Now", _now()),
            Row("Rounds and plans", _rounds()),
            Row("Inputs", _inputs()),
            Row("The process", _process()),
        ],
    )


def _now() -> list[Panel]:
    return [
        numbers(
            "Version",
            "Of the controllers that run.",
            "short",
            [Query(f"max by (version) (wattshift_build_info{{{SITE}}})", "{{version}}")],
            is_text=True,
        ),
        numbers(
            "Time",
            "Whether site time is simulated, and how fast it runs.",
            "short",
            [Query(gauge("site_info", "simulated, speed"), "simulated: {{simulated}}, {{speed}}x")],
            is_text=True,
        ),
        numbers(
            "Leaders",
            "Replicas that lead: one, always. On one machine without a cluster there is no such election.",
            COUNT,
            [Query(f"sum(wattshift_leader{{{SITE}}})")],
            if_none="no election",
            steps=((None, MUTED), (0, RED), (1, GREEN), (2, RED)),
        ),
        numbers(
            "Replicas",
            "Controllers that Prometheus reaches, the standby too.",
            COUNT,
            [Query(f"count(wattshift_build_info{{{SITE}}})")],
            steps=((None, RED), (1, GREEN)),
        ),
        numbers(
            "Last round ago",
            "Wall time since the controller last looked at the site and was done.",
            "s",
            [Query(f"time() - {gauge('last_round_timestamp_seconds')}")],
            steps=((None, GREEN), (60, YELLOW), (300, RED)),
        ),
        numbers(
            "Failed rounds",
            "In the time shown.",
            COUNT,
            [Query(increase("rounds_total", RANGE, labels='result="failed"'))],
            steps=((None, GREEN), (0.5, RED)),
        ),
        numbers(
            "Stale inputs",
            "Inputs whose stale policy holds.",
            COUNT,
            [Query(total("input_stale"))],
            steps=NONE_IS_GOOD,
        ),
        numbers(
            "Plan",
            "Whether the last attempt at a plan worked.",
            "short",
            [Query(gauge("plan_failed"))],
            steps=NONE_IS_GOOD,
            texts={"0": ("well", GREEN), "1": ("failed", RED)},
        ),
    ]


def _rounds() -> list[Panel]:
    return [
        lines(
            "Rounds a minute, by result",
            "Unsynced: the driver had not seen all objects yet, so nothing was decided.",
            "short",
            [Query(f"60 * {rate('rounds_total', RATE, 'result')}", "{{result}}")],
            colours={"ok": GREEN, "failed": RED, "unsynced": YELLOW},
            is_stacked=True,
            lowest=0,
            width=8,
        ),
        lines(
            "Round by its parts: half within",
            "Wall time.",
            "s",
            [Query(quantile(0.5, "round_seconds", RATE, "part"), "{{part}}")],
            lowest=0,
            width=8,
        ),
        lines(
            "Round by its parts: 99 % within",
            "Wall time.",
            "s",
            [Query(quantile(0.99, "round_seconds", RATE, "part"), "{{part}}")],
            lowest=0,
            width=8,
        ),
        lines(
            "Time to solve a plan",
            "Of the worker beside the loop.",
            "s",
            [Query(gauge("plan_solve_seconds"), "Solve")],
            lowest=0,
            width=8,
        ),
        lines(
            "Age of the plan",
            "Site time; a new one is due every 15 min.",
            "s",
            [Query(gauge("plan_age_seconds"), "Age")],
            lowest=0,
            width=8,
        ),
        lines(
            "Watched objects",
            "What the driver sees of the cluster.",
            COUNT,
            [Query(gauge("watched_objects", "kind"), "{{kind}}")],
            lowest=0,
            is_stepped=True,
            width=8,
        ),
    ]


def _inputs() -> list[Panel]:
    return [
        states(
            "Stale inputs",
            "Which input's stale policy held, and when.",
            "short",
            [Query(gauge("input_stale", "input"), "{{input}}")],
            texts={"0": ("fresh", GREEN), "1": ("stale", RED)},
        ),
        rows(
            "Age of inputs",
            "Site time since each input's reading; telemetry: the oldest device's.",
            "input",
            [
                ("Age", "s", gauge("input_age_seconds", "input")),
                ("Stale", "bool_yes_no", gauge("input_stale", "input")),
            ],
            height=6,
            sort="Age",
            steps={"Stale": ((None, GREEN), (1, RED))},
        ),
    ]


def _process() -> list[Panel]:
    return [
        lines(
            "Processor",
            "Cores taken by each replica; its plan worker is a process of its own and not in here.",
            "short",
            [Query(f"rate(process_cpu_seconds_total[{RATE}]) * {OURS}", "{{instance}}")],
            lowest=0,
            width=6,
        ),
        lines(
            "Memory",
            "Resident, of each replica.",
            "bytes",
            [Query(f"process_resident_memory_bytes * {OURS}", "{{instance}}")],
            lowest=0,
            width=6,
        ),
        lines(
            "Time of a scrape",
            "Wall time that Prometheus waits for each replica's metrics.",
            "s",
            [Query(f"scrape_duration_seconds * {OURS}", "{{instance}}", colour=ORANGE)],
            lowest=0,
            width=6,
        ),
        lines(
            "Samples in a scrape",
            "Series that each replica exposes.",
            COUNT,
            [Query(f"scrape_samples_scraped * {OURS}", "{{instance}}", colour=MUTED)],
            lowest=0,
            width=6,
        ),
    ]
