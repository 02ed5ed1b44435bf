"""PromQL that several panels share.

Gauges are taken as `max by`: for the moment of a takeover two replicas have the same series, and a sum
would count double.

Site time runs faster than the wall in a demo, and counters of energy and money with it: `per_hour` takes the
speed out.
"""

from dataclasses import dataclass

SITE = 'site="$site"'
RANGE = "$__range"
RATE = "$__rate_interval"
NEAREST = 10
"""So many fleets, feeders or tenants are shown where there may be a thousand."""


Step = tuple[float | None, str]
"""From this value on (None: from the lowest), this colour."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus, and what its series have for themselves."""

    expr: str
    legend: str = ""
    """Template of a series' name."""
    unit: str = ""
    """Where it differs from that of its panel."""
    colour: str = ""
    is_line: bool = False
    """Drawn dashed and in steps over an area: a limit or a target."""
    is_area: bool = False
    """Drawn as an area without a line: when something holds."""
    down_to: str = ""
    """The series of the same panel down to which the area below this one is filled."""
    steps: tuple[Step, ...] = ()
    """Where they differ from those of its panel."""


def series(name: str, labels: str = "") -> str:
    """A gauge's series as they are."""
    return f"wattshift_{name}{{{_matchers(labels)}}}"


def gauge(name: str, by: str = "", labels: str = "") -> str:
    """A gauge of the site, by some of its labels."""
    grouped = f" by ({by})" if by else ""
    return f"max{grouped} ({series(name, labels)})"


def total(name: str, labels: str = "") -> str:
    """The sum of a gauge, of one replica: over a thousand fleets it takes a third of the time of a sum of maxima."""
    return f"max (sum by (instance) ({series(name, labels)}))"


def rate(counter: str, window: str, by: str = "", labels: str = "") -> str:
    """What a counter gained a second of the wall."""
    return _summed("rate", counter, window, by, labels)


def increase(counter: str, window: str, by: str = "", labels: str = "") -> str:
    """What a counter gained in a window."""
    return _summed("increase", counter, window, by, labels)


def _summed(function: str, counter: str, window: str, by: str, labels: str) -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} ({function}(wattshift_{counter}{{{_matchers(labels)}}}[{window}]))"


def _matchers(labels: str) -> str:
    return f"{SITE},{labels}" if labels else SITE


def highest(few: int, name: str, by: str, labels: str = "", over: str = "") -> str:
    """Curves of the few series of a gauge that were highest in the time shown, or highest over another gauge.

    A topk alone picks anew at each point, and where there may be a thousand it draws pieces of hundreds.
    """
    peaks = f"max by ({by}) (max_over_time({series(name, labels)}[{RANGE}] @ end()))"
    curves, picked = gauge(name, by, labels), peaks
    if over:
        limits = f"max by ({by}) ({series(over, labels)} @ end())"
        curves, picked = f"{curves} / {gauge(over, by, labels)}", f"{peaks} / {limits}"
    return f"({curves}) and on ({by}) topk({few}, {picked})"


def quantile(share: float, histogram: str, window: str, by: str) -> str:
    """A quantile of a histogram by one of its labels."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', window, f'le, {by}')})"


# --- money ------------------------------------------------------------------------------------------------------------


def profit(of: str, window: str) -> str:
    """Revenue, less what power cost, more what it brought at negative prices, less credits to tenants; `of` rate or
    increase."""
    revenue, cost, income, credit = (
        _summed(of, f"{name}_usd_total", window, "", "")
        for name in ("revenue", "energy_cost", "energy_income", "sla_credit")
    )
    return f"({revenue} - {cost} + {income} - ({credit} or vector(0)))"  # a site without tenants has no credits


def always_on_profit(of: str, window: str) -> str:
    """The same with every fleet at its default mode."""
    revenue, cost, income = (
        _summed(of, f"always_on_{name}_usd_total", window, "", "")
        for name in ("revenue", "energy_cost", "energy_income")
    )
    return f"({revenue} - {cost} + {income})"


def lead(window: str) -> str:
    """USD by which dispatch is ahead of always-on over a window."""
    return f"{profit('increase', window)} - {always_on_profit('increase', window)}"


def per_hour(usd_per_wall_second: str) -> str:
    """USD per hour of site time."""
    return f"3600 * {usd_per_wall_second} / {gauge('site_speed_ratio')}"


def booked_per_hour(usd_per_wall_second: str, window: str, of: str = "") -> str:
    """The same of what is booked, in windows of a few bookings; `of` one use of power, or all.

    Books are settled every five minutes, so that a window of sixteen has three bookings or four. Joules are booked
    with the dollars: dollars a joule have no such steps, and times the watts measured they are dollars a second.
    """
    use, account = (f'use="{of}"', f'account="{of}"') if of else ("", "")
    watts = f"sum (avg_over_time({series('power_watts', use)}[{window}]))"
    joules = rate("energy_joules_total", window, labels=account)
    return f"3600 * {usd_per_wall_second} * {watts} / ({joules} > 0)"  # nothing settled in the window: no answer
