"""The pieces that sentences about a plan are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from orchestrator.explain.local_times import clock_text, range_text
from orchestrator.explain.plan_view import PlanView, Stretch, TargetPlan


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds for all sentences told at one time."""

    now: datetime
    zone: ZoneInfo
    price_usd_per_mwh: float
    """Of one more kW."""
    free_gpus: Mapping[str, int]
    """By pool, those that no job holds."""
    power: str = "power"
    """Of what `price_usd_per_mwh` is the price: power that is bought, or that is sold back of a block."""


def otherwise_text(
    what: str, once: str, switch: Stretch | None, view: PlanView, moment: Moment, ends_at: datetime | None = None
) -> str:
    """The plan has it otherwise than it is, since the price or the room is not what it was made with.

    `once` is what the price must do for it to follow; empty where the price is not what keeps it.
    """
    price = expected_usd_per_mwh(view, moment.now) if once else None
    expected = "" if price is None else f", which expected {price:.0f} USD/MWh now,"
    if switch is not None:
        until = f" until {clock_at(switch.start, moment)}"
    else:
        until = "" if ends_at is not None else f" until its end, {clock_at(view.end, moment)}"
    the_plan = f"{once}; the plan" if once else "The plan"
    return f"{the_plan}{expected} has {what}{until}"


def stretches_from(plan: TargetPlan, now: datetime) -> tuple[Stretch | None, tuple[Stretch, ...]]:
    """The one that holds at `now`, and those after it."""
    for number, stretch in enumerate(plan.stretches):
        if stretch.start <= now < stretch.end:
            return stretch, plan.stretches[number + 1 :]
    return None, ()


def over_text(stretch: Stretch, view: PlanView, moment: Moment) -> str:
    """`from 17:15 to 19:30, when power is expected at 340 USD/MWh on average`."""
    if stretch.end >= view.end:
        times = f"from {clock_at(stretch.start, moment)} to the plan's end"
    else:
        times = range_text(stretch.start, stretch.end, moment.now, moment.zone)
    prices = [step.price_usd_per_mwh for step in view.steps if stretch.start <= step.start < stretch.end]
    if not prices:
        return times
    average = " on average" if len(prices) > 1 else ""
    return f"{times}, when power is expected at {sum(prices) / len(prices):.0f} USD/MWh{average}"


def when_text(at: datetime, view: PlanView) -> str:
    price = expected_usd_per_mwh(view, at)
    return "" if price is None else f", when power is expected at {price:.0f} USD/MWh"


def expected_usd_per_mwh(view: PlanView, at: datetime) -> float | None:
    """USD/MWh at `at`; None outside the plan."""
    if not view.steps:
        return None
    number = (at - view.steps[0].start) // view.step
    return view.steps[number].price_usd_per_mwh if 0 <= number < len(view.steps) else None


def clock_at(at: datetime, moment: Moment) -> str:
    return clock_text(at, moment.now, moment.zone)


def told_apart(price: float, limit: float) -> tuple[str, str]:
    """Both as text, with as many digits as it takes to tell them apart."""
    for digits in (0, 1, 2):
        texts = f"{price:.{digits}f}", f"{limit:.{digits}f}"
        if texts[0] != texts[1]:
            break
    return texts
