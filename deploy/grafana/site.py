"""*Site*: money and power now, in ten seconds."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import uids
from deploy.grafana.frame import Row, dashboard
from deploy.grafana.panels import (
    GREEN,
    HPC,
    LIMIT,
    MINING,
    MUTED,
    NONE_IS_GOOD,
    ORANGE,
    OVERHEAD,
    RED,
    TARGET,
    USD_PER_MWH,
    YELLOW,
    Panel,
    bars,
    lines,
    numbers,
    rows,
    states,
)
from deploy.grafana.queries import (
    NEAREST,
    RANGE,
    RATE,
    Query,
    always_on_profit,
    gauge,
    lead,
    per_hour,
    profit,
    series,
    total,
)

GAIN = ((None, RED), (0, GREEN))
MONEY_POINTS = 60
"""Books are settled every 5 min of site time and at each change of price: over 6 h a point averages over more."""
PRICE, BREAK_EVEN = gauge("price_usd_per_mwh"), gauge("break_even_usd_per_mwh")
FEEDER_USE = f"{gauge('feeder_power_watts', 'feeder')} / {gauge('feeder_limit_watts', 'feeder')}"


def site() -> model.Dashboard:
    return dashboard(
        uids.SITE,
        "Site",
        "Money and power now: what the site earns, what it draws, what power costs, and whether anything is wrong.",
        [Row("Now", _now()), Row("What happened", _curves()), Row("Close to a limit, or in doubt", _doubts())],
    )


def _now() -> list[Panel]:
    return [
        numbers(
            "Profit per hour",
            "Revenue of mining and jobs, less what power cost and credits to tenants: the average over the time shown, "
            "per hour of site time.",
            "currencyUSD",
            [Query(per_hour(profit("rate", RANGE), RANGE))],
            width=4,
            steps=GAIN,
        ),
        numbers(
            "Lead over always-on",
            "Profit in the time shown, less what the same time would have brought with every fleet at its default mode "
            "as far as the caps let it, and jobs as they were. The latter is modelled.",
            "currencyUSD",
            [Query(lead(RANGE))],
            width=4,
            steps=GAIN,
        ),
        numbers(
            "Price, and the best fleet's break-even",
            "The price in force, and the price above which even the site's best fleet loses money. Above it the price "
            "is red, and all fleets should sleep.",
            USD_PER_MWH,
            [
                Query(f"{PRICE} <= {BREAK_EVEN}", "Price", colour=GREEN),
                Query(f"{PRICE} > {BREAK_EVEN}", "Price", colour=RED),
                Query(BREAK_EVEN, "Break-even"),
            ],
            width=5,
            decimals=0,
            links_to=uids.DISPATCH,
        ),
        numbers(
            "Grid power",
            "Measured, and how much of the cap on the grid connection in force that is.",
            "watt",
            [
                Query(gauge("grid_power_watts"), "Power"),
                Query(f"{gauge('grid_power_watts')} / {gauge('grid_limit_watts')}", "of the cap", unit="percentunit"),
            ],
            width=5,
            decimals=1,
        ),
        numbers(
            "Orders",
            "Curtailment orders in force.",
            "short",
            [Query(gauge("curtailments_active"))],
            width=2,
            steps=((None, GREEN), (1, ORANGE)),
            texts={"0": ("none", GREEN)},
            links_to=uids.DISPATCH,
        ),
        numbers(
            "Breaches",
            "Promises that are not kept now: a cap exceeded, a shed not delivered, a guaranteed job interrupted, a "
            "meter without readings.",
            "short",
            [Query(total("breaches_active"))],
            width=2,
            steps=NONE_IS_GOOD,
            texts={"0": ("none", GREEN)},
            links_to=uids.DISPATCH,
        ),
        numbers(
            "Stale inputs",
            "Inputs whose stale policy holds: they are too old, and something is assumed in their place.",
            "short",
            [Query(total("input_stale"))],
            width=2,
            steps=((None, GREEN), (1, ORANGE)),
            texts={"0": ("none", GREEN)},
            links_to=uids.CONTROLLER,
        ),
    ]


def _curves() -> list[Panel]:
    return [
        lines(
            "Power price and break-even",
            "Where the price is above a break-even, that fleet should sleep: best and worst fleet are drawn. Day-ahead "
            "is what was expected.",
            USD_PER_MWH,
            [
                Query(PRICE, "Price", colour=RED),
                Query(gauge("day_ahead_price_usd_per_mwh"), "Day-ahead", colour=MUTED),
                Query(BREAK_EVEN, "Break-even, best fleet", colour=GREEN, is_line=True),
                Query(f"min({series('break_even_usd_per_mwh')})", "worst fleet", colour=YELLOW, is_line=True),
            ],
            is_stepped=True,
            lowest=0,
            links_to=uids.DISPATCH,
        ),
        lines(
            "Power by use, under the cap",
            "Measured grid power, stacked: HPC jobs, mining, and overhead (cooling and losses). The dashed line "
            "is the cap in force, orders included.",
            "watt",
            [
                Query(gauge("power_watts", "use"), "{{use}}"),
                Query(gauge("grid_limit_watts"), "cap", colour=LIMIT, is_line=True),
            ],
            colours={"hpc": HPC, "mining": MINING, "overhead": OVERHEAD},
            is_stacked=True,
            lowest=0,
        ),
        lines(
            "Dollars per hour: as dispatched, and always on",
            "Profit per hour of site time as the books have it, beside what every fleet at its default mode would have "
            "made (modelled). The gap is what dispatch is worth.",
            "currencyUSD",
            [
                Query(per_hour(profit("rate", RATE), RATE), "Dispatched", colour=GREEN),
                Query(per_hour(always_on_profit("rate", RATE), RATE), "Always on", colour=MUTED),
            ],
            points=MONEY_POINTS,
            is_joined=True,
        ),
        lines(
            "Setpoint and measured",
            "What the setpoints in force should draw, and what is measured. They part for minutes while machines warm "
            "up; for longer, something does not obey.",
            "watt",
            [
                Query(gauge("power_watts", "use", 'use!="overhead"'), "{{use}}"),
                Query(gauge("setpoint_watts", "use"), "{{use}} setpoint", is_line=True),
            ],
            colours={"hpc": HPC, "mining": MINING, "hpc setpoint": "light-blue", "mining setpoint": TARGET},
            lowest=0,
            links_to=uids.FLEETS,
        ),
    ]


def _doubts() -> list[Panel]:
    return [
        bars(
            "Feeders by use of their limit",
            f"Measured power over the limit, the {NEAREST} nearest to theirs.",
            "percentunit",
            [Query(f"topk({NEAREST}, {FEEDER_USE})", "{{feeder}}")],
            steps=((None, GREEN), (0.95, ORANGE), (1.0, RED)),
            highest=1.0,
            height=6,
        ),
        rows(
            "Inputs",
            "Age of each input, site time, and whether its stale policy holds.",
            "input",
            [
                ("Age", "s", gauge("input_age_seconds", "input")),
                ("Stale", "bool_yes_no", gauge("input_stale", "input")),
            ],
            width=8,
            height=6,
            sort="Age",
            steps={"Stale": ((None, GREEN), (1, RED))},
        ),
        states(
            "Breaches",
            "Which promises were not kept, and when.",
            "short",
            [Query(gauge("breaches_active", "kind"), "{{kind}}")],
            texts={"0": ("kept", GREEN)},
            width=8,
        ),
    ]
