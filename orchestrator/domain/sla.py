"""What each class of promise means. Who asks whether a job may be stopped, shrunk or credited asks here."""

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

BUDGET_SPAN = timedelta(hours=1)
"""Over which a tenant's interruptions are counted."""

DEADLINE_MARGIN = timedelta(minutes=20)
"""A job that waits for its deadline (`SlaRules.slack_kept`) must run with less slack than this."""


class SlaRules(NamedTuple):
    """What was promised with a class. What it costs to break it, and the budget of interruptions, are the tenant's."""

    at_any_price: bool
    """It starts as soon as there is room for it and runs on, whatever power costs; it goes before all that is chosen by
    worth or by deadline."""
    interruptible: bool
    """It may be stopped for power's price, for an order or to make room, within its tenant's budget. What may not is
    stopped for nothing but a safety limit that nothing else can meet, and then it is a breach."""
    shrinkable: bool
    """It may be let run on fewer GPUs than it asks for, if it is elastic; else what was promised is all of them."""
    interruption_credited: bool
    """An interruption is credited as a missed deadline is, without being asked."""
    time_promised: bool
    """It is to be done by its deadline; else it is due at no time, and no deadline is missed."""
    slack_kept: bool
    """It waits while its deadline leaves slack, and runs at any price once it does not."""


class SlaClass(StrEnum):
    """Class of a tenant's promise, from the strictest on."""

    GUARANTEED = "guaranteed"
    FLEXIBLE = "flexible"
    BEST_EFFORT = "best-effort"

    @property
    def rules(self) -> SlaRules:
        return _RULES[self]

    @property
    def number(self) -> int:
        """What stands for the class in columns of numbers."""
        return _NUMBERS[self]


_RULES = {
    SlaClass.GUARANTEED: SlaRules(
        at_any_price=True,
        interruptible=False,
        shrinkable=False,
        interruption_credited=True,
        time_promised=True,
        slack_kept=False,  # it does not wait
    ),
    SlaClass.FLEXIBLE: SlaRules(
        at_any_price=False,
        interruptible=True,
        shrinkable=True,
        interruption_credited=False,
        time_promised=True,
        slack_kept=True,
    ),
    SlaClass.BEST_EFFORT: SlaRules(
        at_any_price=False,
        interruptible=True,
        shrinkable=True,
        interruption_credited=False,
        time_promised=False,
        slack_kept=False,
    ),
}
_NUMBERS = {of_class: number for number, of_class in enumerate(SlaClass)}
