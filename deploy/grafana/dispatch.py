"""*Dispatch*: why the site does what it does."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import uids
from deploy.grafana.frame import Row, dashboard
from deploy.grafana.panels import (
    BLUE,
    GREEN,
    LIMIT,
    MUTED,
    NONE_IS_GOOD,
    ORANGE,
    PURPLE,
    RED,
    USD_PER_MWH,
    YELLOW,
    bars,
    lines,
    numbers,
    rows,
    states,
)
from deploy.grafana.parts import COUNT, Panel
from deploy.grafana.queries import RANGE, RATE, Query, gauge, highest, increase, quantile, series

BREAK_EVEN = series("break_even_usd_per_mwh")
OF_FLEET = gauge("break_even_usd_per_mwh", "fleet")
PRICE = gauge("price_usd_per_mwh")
ROWS, CURVES = 6, 6
"""So many have room in a table beside a curve, and can be told apart."""
DEAR_USD_PER_MWH = 500
"""Above what any fleet is worth."""
LARGEST = f"topk({ROWS}, {gauge('fleet_setpoint_watts', 'fleet')})"


def dispatch() -> model.Dashboard:
    return dashboard(
        uids.DISPATCH,
        "Dispatch",
        "Why: what power costs and is worth, which limit binds, what was decided and what came of it, and the plan.",
        [
            Row("What power costs, and what it is worth", _worth()),
            Row("What binds", _limits()),
            Row("What was decided, and what came of it", _decisions()),
            Row("The plan", _plan()),
        ],
    )


def _worth() -> list[Panel]:
    return [
        lines(
            "Price and break-even",
            "Price in force, and the spread of the fleets' break-evens. A fleet pays while the price is below its own. "
            f"The axis ends at {DEAR_USD_PER_MWH} $/MWh, so that a spike does not hide it; Site shows all.",
            USD_PER_MWH,
            [
                Query(PRICE, "Price", colour=RED),
                Query(f"max({BREAK_EVEN})", "Break-even, best fleet", colour=GREEN, is_line=True),
                Query(f"quantile(0.5, {BREAK_EVEN})", "median fleet", colour=YELLOW, is_line=True),
                Query(f"min({BREAK_EVEN})", "worst fleet", colour=ORANGE, is_line=True),
            ],
            is_stepped=True,
            lowest=0,
            end=DEAR_USD_PER_MWH,
            points=240,
            width=10,
        ),
        lines(
            "Fleets that pay at this price",
            "Share of fleets whose break-even is above the price in force.",
            "percentunit",
            [Query(f"avg({BREAK_EVEN} > bool scalar({PRICE}))", "pay", colour=GREEN)],
            points=240,
            is_stepped=True,
            lowest=0,
            highest=1,
            width=6,
        ),
        rows(
            "Largest fleets",
            f"The {ROWS} fleets with the highest setpoint: what they are told to draw, and what a MWh in them "
            "brings above the price. Below 0 they should sleep.",
            "fleet",
            [
                ("Setpoint", "watt", LARGEST),
                ("Break-even", USD_PER_MWH, OF_FLEET),
                ("Above the price", USD_PER_MWH, f"({OF_FLEET} - scalar({PRICE}))"),
            ],
            width=8,
            height=8,
            only=LARGEST,
            sort="Setpoint",
            key_links_to=uids.FLEETS,
            steps={"Above the price": ((None, RED), (0, GREEN))},
        ),
        states(
            "Where the price comes from",
            "The source of the price in force; anything but real-time means that the real-time price is too old.",
            "short",
            [Query(gauge("price_basis", "basis"), "{{basis}}")],
            texts={"0": ("not used", "transparent"), "1": ("in force", GREEN)},
            width=10,
            height=5,
        ),
        lines(
            "Hashprice",
            "What a petahash per second earns in a day.",
            "suffix:$/PH/s/day",
            [Query(gauge("hashprice_usd_per_phs_day"), "Hashprice")],
            is_stepped=True,
            width=6,
            height=5,
        ),
        lines(
            "Outdoor temperature",
            "In heat, cooling takes more of the cap.",
            "celsius",
            [
                Query(gauge("outdoor_celsius"), "Outdoor", colour=ORANGE),
            ],
            width=4,
            height=5,
        ),
        lines(
            "PUE",
            "Site power over IT power.",
            "short",
            [Query(gauge("pue_ratio"), "PUE", colour=MUTED)],
            width=4,
            height=5,
        ),
    ]


def _limits() -> list[Panel]:
    return [
        lines(
            "Grid power, its cap and the connection",
            "The cap in force is the connection's, or lower while an order holds. Power at it: it binds.",
            "watt",
            [
                Query(gauge("grid_power_watts"), "Grid power", colour="blue"),
                Query(gauge("power_assumed_watts"), "Of it assumed", colour=ORANGE, is_line=True),
                Query(gauge("grid_limit_watts"), "Cap in force", colour=LIMIT, is_line=True),
                Query(gauge("grid_connection_watts"), "Connection", colour=MUTED, is_line=True),
            ],
            lowest=0,
            is_stepped=True,
        ),
        lines(
            "Use of the feeders' limits",
            f"Power over the limit: the {CURVES} that were nearest to theirs in the time shown. At 100 % the "
            "feeder binds.",
            "percentunit",
            [Query(highest(CURVES, "feeder_power_watts", "feeder", over="feeder_limit_watts"), "{{feeder}}")],
            lowest=0,
            points=120,
            steps=((None, "transparent"), (0.95, ORANGE), (1.0, RED)),
        ),
    ]


def _decisions() -> list[Panel]:
    return [
        lines(
            "Decisions by trigger",
            "How many times the site was moved, by what made it so.",
            COUNT,
            [Query(increase("decisions_total", RATE, "trigger"), "{{trigger}}")],
            colours={"price": RED, "curtailment": PURPLE, "breach": ORANGE, "tick": MUTED, "start": BLUE},
            is_bars=True,
            points=100,
            width=8,
        ),
        lines(
            "Actions by what came of them",
            "Accepted: acknowledged, then measured or superseded. Late: not in the meter by its time limit, escalated.",
            COUNT,
            [Query(increase("actions_total", RATE, "state"), "{{state}}")],
            colours={"acknowledged": BLUE, "measured": GREEN, "late": ORANGE, "refused": RED, "superseded": MUTED},
            is_bars=True,
            points=100,
            width=8,
        ),
        lines(
            "Not in the meter yet",
            "Actions sent and acknowledged whose watts have not been seen to move.",
            COUNT,
            [Query(gauge("actions_pending"), "Pending", colour=PURPLE)],
            lowest=0,
            is_stepped=True,
            width=4,
        ),
        bars(
            "Actions by kind",
            "Fleets, jobs and GPU pools moved in the time shown.",
            COUNT,
            [Query(increase("actions_total", RANGE, "kind", 'state="acknowledged"'), "{{kind}}")],
            width=4,
        ),
        bars(
            "From trigger to effect: half of the decisions within",
            "Site time since the trigger (a price published, an order accepted), by stage; the time shown.",
            "s",
            [Query(f"sort({quantile(0.5, 'decision_latency_seconds', RANGE, 'stage')})", "{{stage}}")],
            width=8,
            height=7,
        ),
        bars(
            "From trigger to effect: 95 % of the decisions within",
            "The same, but for the slowest one in twenty.",
            "s",
            [Query(f"sort({quantile(0.95, 'decision_latency_seconds', RANGE, 'stage')})", "{{stage}}")],
            width=8,
            height=7,
        ),
        lines(
            "Breaches opened",
            "New ones, by kind.",
            COUNT,
            [Query(increase("breaches_total", RATE, "kind"), "{{kind}}")],
            is_bars=True,
            points=100,
            width=8,
            height=7,
        ),
    ]


def _plan() -> list[Panel]:
    return [
        numbers(
            "Plan",
            "Whether the last attempt at a plan worked. Without one dispatch goes by the price alone.",
            "short",
            [Query(gauge("plan_failed"))],
            width=4,
            height=7,
            steps=NONE_IS_GOOD,
            texts={"0": ("in force", GREEN), "1": ("failed", RED)},
        ),
        numbers(
            "Age of the plan",
            "Site time since the plan in force was made; a new one is due every 15 min.",
            "s",
            [Query(gauge("plan_age_seconds"))],
            width=4,
            height=7,
            steps=((None, GREEN), (1800, YELLOW), (3600, RED)),
        ),
        numbers(
            "Gap to bound",
            "By how much the plan may fall short of the best that any plan could earn: proven, not estimated.",
            "percentunit",
            [Query(gauge("plan_gap_ratio"))],
            width=4,
            height=7,
            decimals=2,
            steps=((None, GREEN), (0.02, YELLOW), (0.1, RED)),
        ),
        numbers(
            "Broken promises",
            "Jobs for which the plan found no way to keep their deadline.",
            COUNT,
            [Query(gauge("plan_broken_promises"))],
            width=4,
            height=7,
            steps=((None, GREEN), (1, ORANGE)),
        ),
        lines(
            "Planned profit and its bound",
            "Over the 24 h ahead: what the plan expects, and what no plan can exceed.",
            "currencyUSD",
            [
                Query(gauge("plan_profit_usd"), "Plan", colour=GREEN),
                Query(gauge("plan_bound_usd"), "Bound", colour=MUTED, is_line=True),
            ],
            width=8,
            height=7,
            is_stepped=True,
        ),
    ]
