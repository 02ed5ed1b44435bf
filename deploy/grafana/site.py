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
    bars,
    lines,
    numbers,
    rows,
    states,
)
from deploy.grafana.parts import COUNT, Panel
from deploy.grafana.queries import (
    RANGE,
    RATE,
    Query,
    always_on_profit,
    booked_per_hour,
    gauge,
    lead,
    per_hour,
    profit,
    series,
    total,
)

GAIN = ((None, RED), (0, GREEN))
HEIGHT = 7
"""Of a curve: so that all of it is on a screen of 1080 lines."""
FEEDERS = 5
"""So many bars have room."""
AXIS_WIDTH = 80
"""Pixels, of every curve: so that the same time is at the same place in the one below."""
MONEY_POINTS = 24
"""Over 6 h one each 15 min, which is three bookings, and as long as a price holds."""
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
    """From left to right: the spike, its answer, its dollars, and whether anything is wrong."""
    return [
        numbers(
            "Price and break-even",
            "The price in force, and the price above which even the site's best fleet loses money. Above it the price "
            "is red, and all fleets should sleep.",
            USD_PER_MWH,
            [
                Query(f"{PRICE} <= {BREAK_EVEN}", "Price", colour=GREEN),
                Query(f"{PRICE} > {BREAK_EVEN}", "Price", colour=RED),
                Query(BREAK_EVEN, "Break-even"),
            ],
            width=6,
            decimals=0,
            links_to=uids.DISPATCH,
        ),
        numbers(
            "Grid power",
            "By the connection's meter, else counted, and how much of the cap in force that is. Assumed is what no "
            "fresh reading has measured.",
            "watt",
            [
                Query(gauge("grid_power_watts"), "Power"),
                Query(f"{gauge('grid_power_watts')} / {gauge('grid_limit_watts')}", "of the cap", unit="percentunit"),
                Query(gauge("power_assumed_watts"), "assumed", steps=NONE_IS_GOOD),
            ],
            width=4,
            decimals=1,
        ),
        numbers(
            "Profit per hour",
            "Revenue of mining and jobs, less what power cost and credits to tenants: the average over the time shown, "
            "per hour of site time.",
            "currencyUSD",
            [Query(per_hour(profit("rate", RANGE)))],
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
            "Orders and alarms",
            "Curtailment orders in force. Breaches: promises that are not kept now (a cap exceeded, a shed not "
            "delivered, a guaranteed job interrupted, a meter without readings). Stale inputs: too old, so that "
            "something is assumed in their place.",
            COUNT,
            [
                Query(gauge("curtailments_active"), "Orders"),
                Query(total("breaches_active"), "Breaches", steps=NONE_IS_GOOD),
                Query(total("input_stale"), "Stale inputs"),
            ],
            width=6,
            steps=((None, GREEN), (1, ORANGE)),
            texts={"0": ("none", GREEN)},
            links_to=uids.DISPATCH,
        ),
    ]


def _curves() -> list[Panel]:
    return [
        lines(
            "Power price and break-even",
            "Where the price is above a break-even, that fleet should sleep: best and worst fleet are drawn. Red while "
            "it is above the best one's, and all should. Day-ahead is what was expected.",
            USD_PER_MWH,
            [
                Query(PRICE, "Price", colour=RED),
                Query(gauge("day_ahead_price_usd_per_mwh"), "Day-ahead", colour=MUTED),
                Query(BREAK_EVEN, "Break-even, best fleet", colour=GREEN, is_line=True),
                Query(f"min({series('break_even_usd_per_mwh')})", "worst fleet", colour=YELLOW, is_line=True),
                Query(f"{PRICE} > {BREAK_EVEN}", "all should sleep", colour=RED, is_area=True),
            ],
            height=HEIGHT,
            axis_width=AXIS_WIDTH,
            is_stepped=True,
            lowest=0,
            links_to=uids.DISPATCH,
        ),
        lines(
            "Power by use, under the cap",
            "Power by use, by devices, stacked: HPC jobs, mining, and overhead (cooling and losses). Grid power is by "
            "the connection's meter where there is one. The dashed line is the cap in force, orders included.",
            "watt",
            [
                Query(gauge("power_watts", "use"), "{{use}}"),
                Query(gauge("grid_power_watts"), "grid power", is_line=True),
                Query(gauge("grid_limit_watts"), "cap", colour=LIMIT, is_line=True),
            ],
            colours={"hpc": HPC, "mining": MINING, "overhead": OVERHEAD},
            height=HEIGHT,
            axis_width=AXIS_WIDTH,
            is_stacked=True,
            lowest=0,
        ),
        lines(
            "Dollars per hour: as dispatched, and always on",
            "Profit per hour of site time as the books have it, beside what every fleet at its default mode would have "
            "made (modelled). The area between is what dispatch is worth.",
            "currencyUSD",
            [
                Query(booked_per_hour(profit("rate", RATE), RATE), "Dispatched", colour=GREEN, down_to="Always on"),
                Query(per_hour(always_on_profit("rate", RATE)), "Always on", colour=MUTED),
            ],
            height=HEIGHT,
            axis_width=AXIS_WIDTH,
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
            height=HEIGHT,
            axis_width=AXIS_WIDTH,
            lowest=0,
            links_to=uids.FLEETS,
        ),
    ]


def _doubts() -> list[Panel]:
    return [
        bars(
            "Feeders by use of their limit",
            f"Measured power over the limit, the {FEEDERS} nearest to theirs.",
            "percentunit",
            [Query(f"topk({FEEDERS}, {FEEDER_USE})", "{{feeder}}")],
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
            COUNT,
            [Query(gauge("breaches_active", "kind"), "{{kind}}")],
            texts={"0": ("kept", GREEN)},
            from_one=("not kept", RED),
            width=8,
        ),
    ]
