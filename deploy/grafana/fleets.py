"""*Fleet health*: which machines do not do as they are told."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import uids
from deploy.grafana.frame import Row, dashboard, labels_of
from deploy.grafana.panels import (
    GREEN,
    J_PER_TH,
    MINING,
    ORANGE,
    RED,
    TARGET,
    YELLOW,
    lines,
    numbers,
    rows,
)
from deploy.grafana.parts import COUNT, Panel
from deploy.grafana.queries import NEAREST, Query, gauge, total

FLEET = 'fleet=~"$fleet"'
WARMING_UP_J_PER_TH = 100
"""More than any machine takes that has warmed up; a curve through thousands shows nothing else."""
HEIGHT = 12
"""Of a table with ten rows."""
POINTS = 240
"""Of sums over a thousand fleets: over 6 h one each 90 s."""


def _fleet(name: str) -> str:
    return gauge(f"fleet_{name}", "fleet", FLEET)


def _total(name: str) -> str:
    return total(f"fleet_{name}", FLEET)


POWER, SETPOINT = _fleet("power_watts"), _fleet("setpoint_watts")
HASHRATE = _fleet("hashrate_hashes_per_second")
AWAKE, SILENT, STUCK = _fleet("racks_awake"), _fleet("racks_silent"), _fleet("racks_stuck")
EFFICIENCY = f"({POWER} / ({HASHRATE} / 1e12 > 0))"
SITE_EFFICIENCY = f"{_total('power_watts')} / ({_total('hashrate_hashes_per_second')} / 1e12 > 0)"
OFF = f"abs({POWER} - {SETPOINT})"


def fleets() -> model.Dashboard:
    return dashboard(
        uids.FLEETS,
        "Fleet health",
        "Which machines do not do as they are told: power beside setpoint, hashrate, J/TH, and racks silent or stuck.",
        [Row("Fleets chosen", _now()), Row("Over time", _curves()), Row(f"The {NEAREST} that need a look", _worst())],
        [labels_of("fleet", "fleet", "fleet_power_watts")],
    )


def _now() -> list[Panel]:
    return [
        numbers(
            "Power",
            "IT power measured, and what the accepted setpoints should draw.",
            "watt",
            [Query(_total("power_watts"), "Measured"), Query(_total("setpoint_watts"), "Setpoint")],
            width=6,
            decimals=1,
        ),
        numbers("Hashrate", "Measured.", "Hs", [Query(_total("hashrate_hashes_per_second"))], width=4, decimals=2),
        numbers(
            "Efficiency",
            "Joules a terahash takes, what sleepers draw included.",
            J_PER_TH,
            [Query(SITE_EFFICIENCY)],
            if_none="all asleep",
            width=4,
            decimals=1,
        ),
        numbers("Racks awake", "Not asleep.", COUNT, [Query(_total("racks_awake"))], width=3),
        numbers(
            "Racks silent",
            "No reading for longer than the stale policy allows: they count at nameplate against every cap.",
            COUNT,
            [Query(_total("racks_silent"))],
            steps=((None, GREEN), (1, ORANGE)),
            width=3,
        ),
        numbers(
            "Racks stuck",
            "Told to move, and did not.",
            COUNT,
            [Query(_total("racks_stuck"))],
            steps=((None, GREEN), (1, RED)),
            width=4,
        ),
    ]


def _curves() -> list[Panel]:
    return [
        lines(
            "Power and setpoint",
            "IT power of the fleets chosen, together. They part for minutes while machines warm up, and where "
            "racks are silent: those count at nameplate.",
            "watt",
            [
                Query(_total("power_watts"), "Measured", colour=MINING),
                Query(_total("setpoint_watts"), "Setpoint", colour=TARGET, is_line=True),
            ],
            lowest=0,
            points=POINTS,
        ),
        lines(
            "Hashrate",
            "Of the fleets chosen, together.",
            "Hs",
            [Query(_total("hashrate_hashes_per_second"), "Hashrate")],
            lowest=0,
            points=POINTS,
        ),
        lines(
            "Efficiency",
            "Joules a terahash takes. Machines that warm up take power and bring no hash: above "
            f"{WARMING_UP_J_PER_TH} J/TH nothing is drawn.",
            J_PER_TH,
            [Query(f"{SITE_EFFICIENCY} < {WARMING_UP_J_PER_TH}", "J/TH")],
            points=POINTS,
        ),
        lines(
            "Racks",
            "Awake, silent and stuck, of the fleets chosen.",
            COUNT,
            [
                Query(_total("racks_awake"), "Awake", colour=GREEN),
                Query(_total("racks_silent"), "Silent", colour=ORANGE),
                Query(_total("racks_stuck"), "Stuck", colour=RED),
            ],
            points=POINTS,
            is_stepped=True,
            lowest=0,
        ),
    ]


def _worst() -> list[Panel]:
    furthest = f"topk({NEAREST}, {OFF})"
    least = f"topk({NEAREST}, {EFFICIENCY})"
    lost = f"topk({NEAREST}, {SILENT} + {STUCK})"
    return [
        rows(
            "Furthest from their setpoint",
            "The largest differences between power measured and setpoint.",
            "fleet",
            [("Off by", "watt", furthest), ("Power", "watt", POWER), ("Setpoint", "watt", SETPOINT)],
            width=8,
            height=HEIGHT,
            only=furthest,
            sort="Off by",
            key_links_to=uids.FLEETS,
        ),
        rows(
            "Least efficient",
            "The highest J/TH of the fleets that hash.",
            "fleet",
            [("J/TH", J_PER_TH, least), ("Power", "watt", POWER), ("Hashrate", "Hs", HASHRATE)],
            width=8,
            height=HEIGHT,
            only=least,
            sort="J/TH",
            if_none="No fleet hashes",
            key_links_to=uids.FLEETS,
        ),
        rows(
            "Silent and stuck racks",
            "The fleets with the most racks that are silent or stuck.",
            "fleet",
            [
                ("Lost", COUNT, lost),
                ("Silent", COUNT, SILENT),
                ("Stuck", COUNT, STUCK),
                ("Awake", COUNT, AWAKE),
            ],
            width=8,
            height=HEIGHT,
            only=lost,
            sort="Lost",
            key_links_to=uids.FLEETS,
            steps={"Silent": ((None, GREEN), (1, ORANGE)), "Stuck": ((None, GREEN), (1, RED))},
        ),
        lines(
            "GPU nodes without a reading",
            "Of all pools.",
            COUNT,
            [Query(total("pool_nodes_silent"), "Silent", colour=YELLOW)],
            is_stepped=True,
            lowest=0,
            width=24,
            height=5,
        ),
    ]
