"""What each class of promise means is read off one table."""

import numpy as np
import pytest

from orchestrator.domain.sla import SlaClass, SlaRules
from orchestrator.observe.columns import by_class


@pytest.mark.parametrize(
    ("of_class", "holds"),
    [
        (SlaClass.GUARANTEED, ("at_any_price", "interruption_credited", "time_promised")),
        (SlaClass.FLEXIBLE, ("interruptible", "shrinkable", "time_promised", "slack_kept")),
        (SlaClass.BEST_EFFORT, ("interruptible", "shrinkable")),
    ],
    ids=str,
)
def test_a_class_is_what_its_rules_say(of_class: SlaClass, holds: tuple[str, ...]) -> None:
    assert {rule for rule in SlaRules._fields if getattr(of_class.rules, rule)} == set(holds)


@pytest.mark.parametrize("of_class", SlaClass, ids=str)
def test_what_runs_at_any_price_is_not_interrupted_and_what_waits_may_be(of_class: SlaClass) -> None:
    rules = of_class.rules
    assert rules.at_any_price is not rules.interruptible
    assert rules.interruption_credited is not rules.interruptible
    assert not rules.slack_kept or rules.time_promised


def test_columns_of_classes_follow_the_same_table() -> None:
    sla = np.array([of_class.number for of_class in (SlaClass.BEST_EFFORT, SlaClass.GUARANTEED, SlaClass.FLEXIBLE)])
    assert by_class(sla, lambda rules: rules.interruptible).tolist() == [True, False, True]
    assert by_class(sla[:0], lambda rules: rules.interruptible).tolist() == []
