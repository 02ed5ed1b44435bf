"""What is put on record, as lines of the log: each decision, what went wrong with it, breaches and orders.

An observation is no news, nor is a move that came out as expected: at rest the log is silent.
"""

import logging

from orchestrator.accounting.unaccounted import Resolution
from orchestrator.domain.decision import Breach, BreachState, Decision, Outcome, OutcomeState
from orchestrator.domain.limits import Curtailment
from orchestrator.ports import Record

log = logging.getLogger(__name__)

MOST_TARGETS = 10_000

_BREACH_LEVELS = {
    BreachState.ACTIVE: logging.WARNING,
    BreachState.ESCALATED: logging.ERROR,
    BreachState.RESOLVED: logging.INFO,
}


class RecordLog:
    """Told of every record, it logs a line for each that says something new. Fields are called as in the API."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        """By action id, of actions that something may still come of."""

    def __call__(self, record: Record) -> None:
        match record:
            case Decision():
                self._decided(record)
            case Outcome():
                self._came_of_it(record)
            case Breach():
                _breach(record)
            case Curtailment():
                _order(record)
            case Resolution():
                _resolution(record)

    def _decided(self, decision: Decision) -> None:
        self._targets |= {action.id: str(action.move.target) for action in decision.actions}
        while len(self._targets) > MOST_TARGETS:  # of a round that failed nothing more may be heard
            del self._targets[next(iter(self._targets))]
        log.info(
            "decided: %s",
            decision.summary,
            extra={
                "decision_id": decision.id,
                "site_time": decision.at,
                "trigger": decision.trigger,
                "price_usd_per_mwh": decision.price_usd_per_mwh,
                "measured_kw": round(decision.measured_kw, 1),
                "limit_kw": decision.limit_kw,
                "change_kw": round(sum(action.change_kw for action in decision.actions), 1),
                "actions": len(decision.actions),
            },
        )

    def _came_of_it(self, outcome: Outcome) -> None:
        known = self._targets.pop if outcome.settled else self._targets.get
        target = known(outcome.action_id, None) or f"action {outcome.action_id}"  # of the controller before this one
        wrong = outcome.state in (OutcomeState.REFUSED, OutcomeState.LATE)
        log.log(
            logging.WARNING if wrong else logging.DEBUG,
            "%s is %s%s",
            target,
            outcome.state,
            f": {outcome.detail}" if outcome.detail else "",
            extra={
                "decision_id": outcome.decision_id,
                "action_id": outcome.action_id,
                "target": target,
                "outcome": outcome.state,
            },
        )


def _breach(breach: Breach) -> None:
    log.log(
        _BREACH_LEVELS[breach.state],
        "breach %s: %s, %s: %s",
        breach.state,
        breach.kind,
        breach.subject,
        breach.detail,
        extra={"breach_id": breach.id, "kind": breach.kind, "subject": breach.subject, "state": breach.state},
    )


def _order(order: Curtailment) -> None:
    log.info(
        "order %s: at most %.0f kW at the %s until %s: %s",
        "accepted" if order.cancelled_at is None else "cancelled",
        order.limit_kw,
        order.at,
        f"{order.until:%FT%TZ}",
        order.reason,
        extra={
            "curtailment_id": order.id,
            "at": str(order.at),
            "limit_kw": order.limit_kw,
            "until": order.until,
            "source": order.source,
        },
    )


def _resolution(done: Resolution) -> None:
    log.info(
        "%s: %.6g parked, %.6g booked (%s) by %s: %s",
        done.meter,
        done.parked,
        done.booked,
        done.way,
        done.person,
        done.reason,
        extra={"resolution_id": done.id, "meter": done.meter, "way": done.way, "person": done.person},
    )
