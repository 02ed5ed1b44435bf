"""Metric families of what is decided, and what came of it: the loop, the plan, energy and money, jobs and promises."""

from orchestrator.controller.rounds import Part, Result
from orchestrator.domain.decision import BreachKind, Trigger
from orchestrator.domain.work import JobPhase
from orchestrator.runtime.observability.metrics.family import PREFIX, Family, Kind
from orchestrator.runtime.observability.metrics.vocabulary import (
    ACCOUNT_LABEL,
    CLASS_LABEL,
    EARNING_LABEL,
    ENDS,
    LATENCY_BUCKETS_S,
    OUTCOMES,
    PAYING_LABEL,
    ROUND_BUCKETS_S,
    STAGES,
    TARGETS,
    TENANT_LABEL,
    WHOLE,
    counter,
    gauge,
    one_of,
)

DECIDED: tuple[tuple[str, tuple[Family, ...]], ...] = (
    (
        "The loop",
        (
            Family(
                PREFIX + "round_seconds",
                Kind.HISTOGRAM,
                "Wall time of the control loop's rounds, by part and as a whole.",
                (one_of("part", (*Part, WHOLE)),),
                "seconds",
                ROUND_BUCKETS_S,
            ),
            counter("rounds_total", "Rounds of the control loop by how they ended.", one_of("result", Result)),
            gauge(
                "last_round_timestamp_seconds",
                "Wall time, unix, at which the last round ended that ended well.",
                unit="seconds",
            ),
            Family(
                PREFIX + "decision_latency_seconds",
                Kind.HISTOGRAM,
                "Site time since a price was published or an order accepted, until: the round that saw it began, its "
                "decision was on disk, each action was sent, was acknowledged, and showed in the meter.",
                (one_of("stage", STAGES),),
                "seconds",
                LATENCY_BUCKETS_S,
            ),
            counter("decisions_total", "Decisions made.", one_of("trigger", Trigger)),
            counter(
                "actions_total",
                "Actions by what they move and what came of them; one that is acknowledged comes to another end later.",
                one_of("kind", TARGETS),
                one_of("state", OUTCOMES),
            ),
            gauge("actions_pending", "Actions acknowledged that do not show in the meter yet."),
            counter("breaches_total", "Breaches opened.", one_of("kind", BreachKind)),
            gauge("breaches_active", "Breaches open now.", one_of("kind", BreachKind)),
            gauge("curtailments_active", "Curtailment orders in force."),
            gauge("watched_objects", "What the workload driver sees.", one_of("kind", ("fleet", "job"))),
        ),
    ),
    (
        "The plan",
        (
            gauge(
                "plan_age_seconds",
                "Site time since the plan in force was made. Before the first, nothing of the plan is there but "
                "`wattshift_plan_failed` and `wattshift_plan_blocked`.",
                unit="seconds",
            ),
            gauge(
                "plan_gap_ratio",
                "(bound - profit) / |bound|, or a twentieth of revenue and energy together where that is more: at most "
                "so much is left on the table.",
                unit="ratio",
            ),
            gauge("plan_sound", "1 where the gap is at most 3 %."),
            gauge("plan_profit_usd", "Expected over the 24 hours from when it was made.", unit="usd"),
            gauge("plan_bound_usd", "What no plan could exceed on the same forecasts.", unit="usd"),
            gauge("plan_failed", "1 where the newest attempt to plan failed or is late."),
            gauge("plan_blocked", "1 while a plan is due and too little of the site is measured for one."),
            gauge(
                "plan_broken_promises",
                "Promises that the plan can't keep; while it is not sound, those alone that no plan could.",
            ),
            gauge("plan_solve_seconds", "Wall time that it took to make.", unit="seconds"),
        ),
    ),
    (
        "Energy and money",
        (
            counter("energy_joules_total", "Energy settled.", ACCOUNT_LABEL, unit="joules"),
            counter(
                "energy_estimated_joules_total",
                "Of it, what is integrated from power for want of a counter.",
                ACCOUNT_LABEL,
                unit="joules",
            ),
            counter(
                "parked_total",
                "Jumps of counters that cannot be true, parked on `unaccounted` until somebody accounts for them.",
            ),
            counter("revenue_usd_total", "Revenue settled.", EARNING_LABEL, unit="usd"),
            counter(
                "energy_cost_usd_total",
                "Paid for energy at prices above 0; of a charge, as `ppa`: what it cost more than the market; of "
                "`residual`, where there is a meter: what it counted and no device explains.",
                PAYING_LABEL,
                unit="usd",
            ),
            counter(
                "energy_income_usd_total",
                "Earned with energy taken at prices below 0; of a charge, as `ppa`: what it cost less than the market.",
                PAYING_LABEL,
                unit="usd",
            ),
            counter("sla_credit_usd_total", "Credited for promises not kept.", TENANT_LABEL, unit="usd"),
            counter(
                "always_on_revenue_usd_total",
                "Modelled: what every rack in its fleet's default mode, as far as the caps let it, would have brought; "
                "and HPC's revenue as it was.",
                unit="usd",
            ),
            counter(
                "always_on_energy_cost_usd_total",
                "Modelled: what that would have cost at prices above 0, HPC's energy as it was.",
                unit="usd",
            ),
            counter(
                "always_on_energy_income_usd_total",
                "Modelled: what that would have earned at prices below 0, HPC's energy as it was.",
                unit="usd",
            ),
        ),
    ),
    (
        "Jobs and promises",
        (
            gauge("jobs", "Jobs that the workload driver lists.", CLASS_LABEL, one_of("phase", JobPhase)),
            gauge(
                "jobs_at_risk",
                "Open jobs that would take more than 90 % of the time left before their deadline at full speed.",
                CLASS_LABEL,
            ),
            gauge(
                "jobs_estimated",
                "Open jobs whose progress is estimated from GPUs and time, for want of a reading.",
                CLASS_LABEL,
            ),
            counter("job_interruptions_total", "Interruptions of jobs, whoever caused them.", CLASS_LABEL),
            counter(
                "jobs_ended_total",
                "Jobs by how their promise ended; one that is late counts at its deadline.",
                CLASS_LABEL,
                one_of("outcome", ENDS),
            ),
            gauge(
                "sla_budget_burnt_ratio",
                "Jobs interrupted in the last hour over the tenant's budget; absent where the budget is 0.",
                TENANT_LABEL,
                unit="ratio",
            ),
        ),
    ),
)
