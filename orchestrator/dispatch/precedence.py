"""Who wins, as a list that is walked: safety limits > safe power > grid orders > operator overrides > SLA > profit.

A rule can say three things. It stands for the caps on power of one authority: all caps hold, so at each place the
tightest counts (`caps_that_hold`). It claims that something runs: claims are served in the order of the list, each as
far as there is room left under the caps (`claims_in_turn`; the table of what is chosen between is sorted so). And it
says whose claims may be broken for its caps: what a rule may not stop runs on above them, throttled as far as GPUs can
be, and what is then missing is reported short (`kept_above_kw`).

A plan says what something is worth: it speaks for profit alone and changes nothing of this. What is held (by an
operator's annotation, by another owner, because it does not answer) is not chosen between at all: it draws what it
draws, and the list is about the rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from orchestrator.dispatch.kernels.choice import Chosen
from orchestrator.dispatch.kernels.tranches import Rank, Tranches
from orchestrator.domain.limits import Authority, Cap, Limits, tightest
from orchestrator.domain.target import Target


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the list: what it demands of the choice and what it forbids."""

    name: str
    caps: Authority | None
    """Whose caps are its own: what they let the grid connection and the feeders carry."""
    claims: tuple[Rank, ...]
    """What it has run, in turn; the strictest first."""
    stops: frozenset[Rank]
    """Whose claims may be refused or interrupted where its caps leave no room."""


SAFETY_LIMITS = Rule("safety limits", caps=Authority.SITE, claims=(), stops=frozenset(Rank))
SAFE_POWER = Rule("safe power", caps=Authority.SAFE_POWER, claims=(), stops=frozenset({Rank.DUE, Rank.WORTH}))
"""Of a site that nobody has seen for longer than its hold (`observe.safe_power`): what is guaranteed goes on."""
GRID_ORDERS = Rule("grid orders", caps=Authority.ORDER, claims=(), stops=frozenset({Rank.DUE, Rank.WORTH}))
"""No order interrupts what is guaranteed."""
OPERATOR_OVERRIDES = Rule("operator overrides", caps=Authority.OVERRIDE, claims=(), stops=GRID_ORDERS.stops)
"""None can be given yet. One will set a cap, or claim that something runs, from this place in the list."""
# A rack inside its minimum on time claims as a job at its deadline does: it must run, and goes for a cap.
SLA = Rule("SLA", caps=None, claims=(Rank.GUARANTEED, Rank.DUE), stops=frozenset())
PROFIT = Rule("profit", caps=None, claims=(Rank.WORTH,), stops=frozenset())

PRECEDENCE = (SAFETY_LIMITS, SAFE_POWER, GRID_ORDERS, OPERATOR_OVERRIDES, SLA, PROFIT)
"""The highest first."""


def claims_in_turn() -> tuple[Rank, ...]:
    """In which order what wants to run is served."""
    return tuple(chain.from_iterable(rule.claims for rule in PRECEDENCE))


def caps_that_hold(limits: Limits, stopping: Rank | None = None) -> dict[Target, Cap]:
    """The tightest cap at each place, of equal ones that of the higher rule; with `stopping`, of those rules alone that
    may stop such a claim."""
    rules = (rule for rule in PRECEDENCE if stopping is None or stopping in rule.stops)
    return tightest(cap for rule in rules for cap in limits.caps if cap.by is rule.caps)


def kept_above_kw(limits: Limits, claim: Rank) -> dict[Target, float]:
    """By how much the cap at each place may be exceeded before such a claim is stopped for it: so far it lies under the
    tightest for which that may be."""
    holds, stops = caps_that_hold(limits), caps_that_hold(limits, stopping=claim)
    return {at: limits.usable_kw(stops[at]) - limits.usable_kw(cap) for at, cap in holds.items()}


def rule_of(cap: Cap) -> Rule:
    """The rule that this cap is of."""
    return next(rule for rule in PRECEDENCE if rule.caps is cap.by)


def shaped_by(binding: Iterable[Cap], tranches: Tranches, chosen: Chosen, price_usd_per_mwh: float) -> tuple[Rule, ...]:
    """The rules that made the choice what it is, the highest first.

    Of rules with caps those that kept something from running; of those with claims those that switch something on, or
    keep on what is not worth its power, and profit also where it switches that off.
    """
    of_caps = [rule_of(cap) for cap in binding]
    on, pays = chosen.units > 0, tranches.value_usd_per_mwh > price_usd_per_mwh
    switched = on != tranches.running
    served = (on & (switched | ~pays)) | ((tranches.rank == Rank.WORTH) & switched & ~pays)
    claims = np.bincount(tranches.rank[served], minlength=len(Rank)).tolist()
    return tuple(rule for rule in PRECEDENCE if rule in of_caps or any(claims[claim] for claim in rule.claims))
