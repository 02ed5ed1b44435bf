"""What the controller relies on in any `Store`: nothing twice, nothing lost, all or nothing.

Run against SQLite files and against a Postgres server of the tests' own, each test on a database of its own.
"""

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orchestrator
from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.charge_lines import CORRECTED
from orchestrator.accounting.job_work import JobWork
from orchestrator.accounting.ledger import Account, MeterMark, Posting, totals
from orchestrator.accounting.reconciling import KEPT, Reconciled
from orchestrator.accounting.unaccounted import Resolution, Way
from orchestrator.adapters.store import SqlStore, StoreError
from orchestrator.domain.decision import (
    Action,
    Breach,
    BreachKind,
    BreachState,
    Decision,
    Direction,
    LimitGpus,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
    Trigger,
)
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import BEHIND, Market, Price
from orchestrator.domain.observation import Metric
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.target import Target
from orchestrator.domain.units import CENT
from orchestrator.domain.work import Arrival
from orchestrator.ports import Memory, ObservationRecord, Record, Store

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHARED_STORE = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""Examples of one test share its store, and keep apart by ids of their own."""

OpenStore = Callable[[], AbstractContextManager[Store]]
"""Opens the test's database until the end of the `with`."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of the test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def open_store(url: str) -> OpenStore:
    return lambda: closing(SqlStore.open(url))


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    with open_store() as opened:
        yield opened


def decision(number: int = 0, at: datetime = NOW, actions: int = 1) -> Decision:
    name = f"{at:%Y%m%dT%H%M%S}-{number}"
    return Decision(
        id=name,
        at=at,
        trigger=Trigger.PRICE,
        trigger_at=at - MINUTE,
        summary="S19j Pro asleep: power 312 USD/MWh is worth more than its hash at 71",
        price_usd_per_mwh=312.0,
        price_basis="real_time",
        hashprice_usd_per_ph_day=61.821,
        pue=1.12,
        measured_kw=98_000.0,
        limit_kw=100_000.0,
        binding=("feeder north",),
        margin_usd_per_h=1234.5,
        actions=tuple(
            Action(
                f"{name}/{n}",
                SetFleet(f"fleet-{n}", RackMix({"normal": 3, "sleep": 2})),
                Direction.DOWN,
                "dear",
                -500.0,
            )
            for n in range(actions)
        ),
        alternatives=("train-7 runs on: worth 2,100 USD/MWh",),
        inputs={"outdoor_c": 38.5, "stale": ["rack s21/rack-3"], "nested": {"n": 1, "none": None}},
    )


def price(after: int = 0, usd: float = 40.0, minutes: int = 15, market: Market = Market.REAL_TIME) -> Price:
    """From `after` minutes after NOW on."""
    start = NOW + after * MINUTE
    return Price(start, start + minutes * MINUTE, usd, market)


def posting(
    kwh: float = 1.0, subject: str = "s21", start: datetime = NOW, account: Account = Account.MINING
) -> Posting:
    return Posting(start, account, subject, 312.0, "real_time", kwh, kwh * 0.312, kwh / 4, kwh / 2, kwh / 8)


def observation(at: datetime = NOW) -> ObservationRecord:
    return ObservationRecord(
        at, 312.0, "real_time", 9.0, 4.0, 3.0, 2.0, 10.0, 0.5, (("north", 5.5), ("east", 3.5)), ("x",)
    )


def curtailment(name: str = "c-1") -> Curtailment:
    return Curtailment(name, 5000.0, 1000.0, NOW, NOW + 60 * MINUTE, timedelta(seconds=90.25), "ERCOT", "operator")


def breach(name: str = "b-1", opened_at: datetime = NOW) -> Breach:
    return Breach(name, BreachKind.SHED, "fleet/s21", BreachState.ACTIVE, opened_at, "500 kW not seen")


def ledger_of(store: Store) -> list[Posting]:
    return list(store.ledger(NOW - timedelta(days=3650), NOW + timedelta(days=3650)))


# --- nothing twice


def test_a_new_store_remembers_nothing(store: Store) -> None:
    assert store.restore(NOW) == Memory()
    assert list(store.decisions(10)) == []
    assert store.decision("none such") is None


def test_recording_nothing_is_allowed(store: Store) -> None:
    store.record([])
    assert store.restore(NOW) == Memory()


def test_a_decision_is_written_once_and_its_first_version_stays(store: Store) -> None:
    first = decision(actions=2)
    store.record([first])
    store.record([first])
    store.record([replace(first, summary="another", actions=decision(actions=3).actions)])
    assert list(store.decisions(10)) == [(first, ())]


def test_an_observation_is_written_once_and_its_first_version_stays(store: Store) -> None:
    store.record([observation()])
    store.record([replace(observation(), grid_kw=1.0)])
    assert list(store.observations(NOW, NOW + MINUTE)) == [observation()]


def test_postings_to_one_line_add_up_within_and_over_records(store: Store) -> None:
    store.record([posting(1.0), posting(2.0)])
    store.record([posting(4.0)])
    assert ledger_of(store) == [posting(7.0)]


@pytest.mark.parametrize(
    "other",
    [
        replace(posting(), start=NOW + 15 * MINUTE),
        replace(posting(), account=Account.HPC),
        replace(posting(), subject="s19"),
        replace(posting(), price_usd_per_mwh=-312.0),
    ],
    ids=["start", "account", "subject", "price"],
)
def test_each_part_of_its_key_makes_another_line(store: Store, other: Posting) -> None:
    store.record([posting(), other])
    assert sorted(map(str, ledger_of(store))) == sorted(map(str, [posting(), other]))


def test_the_last_of_each_replaces_the_ones_before(store: Store) -> None:
    mark = MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", 10.0, NOW)
    job = JobRecord("train", "acme", 10.0, 0.0, 0, None, "open")
    store.record([mark, job, curtailment(), breach()])
    newer: list[Record] = [
        replace(mark, value=20.0, at=NOW + MINUTE),
        JobRecord("train", "acme", 20.0, 1.5, 2, NOW + MINUTE, "late"),
        replace(curtailment(), limit_kw=4000.0, shed_kw=None),
        replace(breach(), state=BreachState.ESCALATED, escalated_at=NOW + MINUTE, detail="next candidate"),
    ]
    store.record([mark, *newer])  # also within one record: the later one holds
    memory = store.restore(NOW)
    assert [*memory.marks, *memory.jobs, *memory.curtailments, *memory.breaches] == newer


def test_the_newest_outcome_of_an_action_replaces_the_one_before(store: Store) -> None:
    made = decision(actions=2)
    sent = Outcome(made.actions[1].id, OutcomeState.SENT, sent_at=NOW)
    measured = replace(
        sent, state=OutcomeState.MEASURED, acknowledged_at=NOW, measured_at=NOW + MINUTE, detail="-498 kW"
    )
    store.record([sent, made])  # in one record the order doesn't matter
    assert store.decision(made.id) == (made, (sent,))
    store.record([measured])
    assert store.decision(made.id) == (made, (measured,))


def resolution(name: str = "r-1", at: datetime = NOW) -> Resolution:
    return Resolution(
        name, at, "asic_energy_joules_total s21/rack-0", Way.BOOK, None, 0.5, 0.5, 20.0, 0.0, "swap", "ada"
    )


def test_what_is_parked_and_what_was_accounted_for_is_read_back(store: Store) -> None:
    parked = Posting(NOW, Account.UNACCOUNTED, "asic_energy_joules_total s21/rack-0", 312.0, "real_time", quantity=0.5)
    taken = replace(parked, account=Account.RESOLVED, quantity=-0.5)
    later = replace(resolution("r-2", NOW + MINUTE), way=Way.WRITE_OFF, asked=0.25)
    store.record([parked, posting(), resolution()])
    store.record([taken, later])
    assert list(store.parked()) == [parked, taken]
    assert list(store.resolutions(10)) == [later, resolution()]
    assert list(store.resolutions(1)) == [later]
    assert store.resolution("r-1") == resolution()
    assert store.resolution("none such") is None


def test_a_resolution_is_written_once_and_its_lines_with_it(store: Store) -> None:
    store.record([resolution(), posting(1.0)])
    with pytest.raises(StoreError):
        store.record([resolution(), posting(2.0)])
    assert ledger_of(store) == [posting(1.0)]


# --- all or nothing


@pytest.mark.parametrize(
    "bad",
    [
        Outcome("no such action/0", OutcomeState.SENT, sent_at=NOW),
        replace(observation(NOW + MINUTE), at=(NOW + MINUTE).replace(tzinfo=None)),
        replace(decision(1), inputs={"price": float("nan")}),
    ],
    ids=["outcome of an unknown action", "naive time", "not a number"],
)
def test_a_record_that_fails_leaves_nothing(store: Store, bad: Record) -> None:
    mark = MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", 10.0, NOW)
    store.record([posting(1.0)])
    with pytest.raises(Exception, match=r"no such action/0|UTC offset|JSON|nan"):
        store.record([posting(2.0), mark, decision(), observation(), curtailment(), breach(), bad])
    assert ledger_of(store) == [posting(1.0)]
    assert store.restore(NOW) == Memory()
    assert list(store.decisions(10)) == []


def test_after_a_failure_the_store_goes_on(store: Store) -> None:
    with pytest.raises(Exception, match="no such action"):
        store.record([posting(2.0), Outcome("no such action", OutcomeState.SENT)])
    store.record([posting(1.0)])
    assert ledger_of(store) == [posting(1.0)]


# --- restore


def test_all_is_there_after_reopening(open_store: OpenStore) -> None:
    made = decision()
    outcome = Outcome(made.actions[0].id, OutcomeState.SENT, sent_at=NOW)
    marks = (
        MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", 10.5, NOW),
        MeterMark(Metric.NODE_ENERGY, "h100-node-0", 3.5, NOW, 1.5, NOW + MINUTE, counted=False),
    )
    came = Arrival("h100", 8, 7200.0, NOW - 2 * MINUTE, NOW - MINUTE)
    work = JobWork(3 * MINUTE, 2, 12.5, 4, 720.0, 3.25, 7.5, NOW - MINUTE)
    job = JobRecord("train", "acme", 10.0, 2.5, 1, NOW - MINUTE, "open", came, 2.5, work)
    orders = (curtailment(), replace(curtailment("c-2"), at=Target.feeder("north")))
    with open_store() as store:
        store.record([made, outcome, *marks, job, price(), *orders, breach(), observation(), posting()])
    with open_store() as store:
        assert store.restore(NOW) == Memory(
            curtailments=orders,
            breaches=(breach(),),
            marks=tuple(sorted(marks, key=lambda mark: mark.metric)),
            jobs=(job,),
            prices=(price(),),
            unsettled=((made, (outcome,)),),
            last_observation=observation(),
        )
        assert ledger_of(store) == [posting()]


def test_a_price_replaces_those_of_its_market_that_it_overlaps(store: Store) -> None:
    hour = [price(minutes=60), price(60, minutes=60)]
    quarters = [price(n * 15, usd=50.0 + n) for n in range(4)]
    ahead = price(minutes=60, market=Market.DAY_AHEAD)
    store.record([*hour, ahead])
    store.record(quarters)
    assert store.restore(NOW).prices == (ahead, *quarters, hour[1])
    store.record(hour[:1])
    assert store.restore(NOW).prices == (ahead, *hour)


def test_it_remembers_prices_for_as_long_as_they_are_known(store: Store) -> None:
    store.record([price(), price(15)])
    assert store.restore(NOW + BEHIND).prices == (price(), price(15))
    assert store.restore(NOW + BEHIND + 15 * MINUTE).prices == (price(15),)


def test_of_reconciled_intervals_it_remembers_what_is_still_corrected_and_keeps_the_newest_of_each(
    store: Store,
) -> None:
    line = Reconciled("grid", NOW, 312.0, "real_time", 100.0, 5.0, 97.0, NOW + MINUTE, 840.0, 3.0)
    others = (replace(line, meter="north"), replace(line, price_usd_per_mwh=20.0), replace(line, start=NOW - KEPT))
    gone = replace(line, start=NOW - KEPT - MINUTE, booked_from=None)
    store.record([line, *others, gone])
    newer = replace(line, metered_kwh=110.0, residual_kwh=13.0)
    store.record([newer])
    assert set(store.restore(NOW).reconciled) == {newer, *others}
    assert set(store.restore(NOW - MINUTE).reconciled) == {newer, *others, gone}


def test_of_a_power_block_it_remembers_what_is_posted_of_each_price_and_interval(store: Store) -> None:
    """Energy of all accounts beside the block's, where there is a block, for as long as late readings correct them."""
    block = replace(posting(0.0, "site"), account="ppa", quantity=0.1, cost_usd=-4.0)
    long_ago = NOW - CORRECTED - MINUTE
    dearer = replace(posting(), price_usd_per_mwh=900.0)
    store.record([posting(30.0), replace(posting(5.0), account=Account.OVERHEAD, subject="site"), block])
    store.record([block, replace(posting(2.0), account=Account.HPC), dearer])
    store.record([replace(block, start=long_ago), posting(1.0, start=long_ago), posting(1.0, start=NOW - MINUTE)])
    (use,) = store.restore(NOW).charged
    assert use.key == ("ppa", NOW, posting().price_usd_per_mwh)
    assert (use.block_kwh, use.energy_kwh) == pytest.approx((200.0, 37.0))


@pytest.mark.parametrize(
    ("at", "cancelled_at", "kept"),
    [
        (NOW - MINUTE, None, True),  # not begun
        (NOW, None, True),
        (NOW + 60 * MINUTE, None, False),  # over, to the second
        (NOW + 10 * MINUTE, NOW + 10 * MINUTE, False),
        (NOW + 9 * MINUTE, NOW + 10 * MINUTE, True),
    ],
)
def test_curtailments_are_restored_until_they_are_over(
    store: Store, at: datetime, cancelled_at: datetime | None, kept: bool
) -> None:
    order = replace(curtailment(), cancelled_at=cancelled_at)
    store.record([order])
    assert store.restore(at).curtailments == ((order,) if kept else ())


def test_breaches_are_restored_until_they_are_resolved(store: Store) -> None:
    escalated = replace(breach("b-2"), state=BreachState.ESCALATED, escalated_at=NOW)
    resolved = replace(breach("b-3"), state=BreachState.RESOLVED, resolved_at=NOW)
    store.record([resolved, escalated, breach("b-1")])
    assert store.restore(NOW).breaches == (breach("b-1"), escalated)


def test_the_last_observation_is_the_newest_by_its_time(store: Store) -> None:
    store.record([observation(NOW + MINUTE), observation(NOW)])
    assert store.restore(NOW).last_observation == observation(NOW + MINUTE)


@pytest.mark.parametrize(
    ("states", "unsettled"),
    [
        ([None, None], True),
        ([OutcomeState.SENT, OutcomeState.MEASURED], True),
        ([OutcomeState.MEASURED, OutcomeState.ACKNOWLEDGED], True),
        ([OutcomeState.MEASURED, None], True),
        ([OutcomeState.MEASURED, OutcomeState.REFUSED], False),
        ([OutcomeState.LATE, OutcomeState.SUPERSEDED], False),
        ([], False),
    ],
)
def test_decisions_are_unsettled_while_an_action_is_under_way(
    store: Store, states: list[OutcomeState | None], unsettled: bool
) -> None:
    made = decision(actions=len(states))
    outcomes = tuple(
        Outcome(action.id, state, sent_at=NOW) for action, state in zip(made.actions, states, strict=True) if state
    )
    store.record([made])
    store.record(outcomes)
    assert store.restore(NOW).unsettled == (((made, outcomes),) if unsettled else ())


def test_unsettled_decisions_come_oldest_first(store: Store) -> None:
    late, early = decision(1, NOW + MINUTE), decision(2, NOW)
    store.record([late, early])
    assert [made for made, _ in store.restore(NOW).unsettled] == [early, late]


# --- reading


def test_decisions_come_newest_first_and_page_by_before(store: Store) -> None:
    # Two of one moment, so that a page may end between them.
    made = [decision(n, NOW + MINUTE * (n // 2)) for n in range(7)]
    store.record(made)
    newest_first = [d.id for d in reversed(made)]
    assert [d.id for d, _ in store.decisions(100)] == newest_first
    paged: list[str] = []
    while page := [d.id for d, _ in store.decisions(3, before=paged[-1] if paged else None)]:
        paged += page
    assert paged == newest_first


def test_no_decision_is_older_than_one_not_on_record(store: Store) -> None:
    store.record([decision()])
    assert list(store.decisions(10, before="none such")) == []


def test_outcomes_come_in_the_order_of_the_actions(store: Store) -> None:
    made = decision(actions=12)  # by name, 10 and 11 would come before 2
    outcomes = tuple(Outcome(action.id, OutcomeState.ACKNOWLEDGED) for action in made.actions)
    store.record([made, *reversed(outcomes)])
    assert store.decision(made.id) == (made, outcomes)


def test_the_ledger_is_ordered_by_start_account_and_subject(store: Store) -> None:
    lines = [
        posting(start=start, account=account, subject=subject)
        for start in (NOW, NOW + 15 * MINUTE)
        for account in (Account.HPC, Account.MINING)
        for subject in ("a", "b")
    ]
    store.record(random.Random(1).sample(lines, len(lines)))
    assert ledger_of(store) == lines


def test_the_ledger_of_a_span_has_lines_that_start_in_it(store: Store) -> None:
    lines = [posting(start=NOW + n * 15 * MINUTE) for n in range(4)]
    store.record(lines)
    assert list(store.ledger(lines[1].start, lines[3].start)) == lines[1:3]


def test_observations_of_a_span_are_in_order_of_time(store: Store) -> None:
    seen = [observation(NOW + n * timedelta(microseconds=1)) for n in range(4)]
    store.record(seen[::-1])
    assert list(store.observations(seen[1].at, seen[3].at)) == seen[1:3]


def test_breaches_of_a_span_are_those_opened_in_it_and_those_still_open(store: Store) -> None:
    resolved = [replace(breach(f"b-{n}", NOW + n * MINUTE), state=BreachState.RESOLVED) for n in range(4)]
    still_open = breach("open", NOW - 10 * MINUTE)
    store.record([*resolved, still_open])
    assert list(store.breaches(NOW + MINUTE, NOW + 3 * MINUTE)) == [still_open, *resolved[1:3]]


def test_times_of_any_zone_come_back_as_the_same_instant_in_utc(store: Store) -> None:
    texas = datetime.fromisoformat("2023-09-06T14:00:00.000001-05:00")
    store.record([observation(texas)])
    (seen,) = store.observations(NOW, NOW + MINUTE)
    assert seen.at == texas
    assert seen.at.utcoffset() == timedelta(0)


# --- any value comes back as it went in

_ids = itertools.count()
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)  # Postgres has no NUL in text
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis takes naive bounds)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
moves = st.one_of(
    st.builds(SetFleet, text, st.builds(RackMix, st.dictionaries(text, st.integers(0, 10_000), max_size=4))),
    st.builds(RunJob, text),
    st.builds(PauseJob, text),
    st.builds(LimitGpus, text, finite),
)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    name = f"any-{next(_ids)}"
    actions = draw(
        st.lists(st.builds(Action, st.just(""), moves, st.sampled_from(Direction), text, finite), max_size=4)
    )
    return Decision(
        id=name,
        at=draw(instants),
        trigger=draw(st.sampled_from(Trigger)),
        trigger_at=draw(instants),
        summary=draw(text),
        price_usd_per_mwh=draw(finite),
        price_basis=draw(text),
        hashprice_usd_per_ph_day=draw(finite),
        pue=draw(finite),
        measured_kw=draw(finite),
        limit_kw=draw(finite),
        binding=tuple(draw(st.lists(text, max_size=3))),
        margin_usd_per_h=draw(finite),
        actions=tuple(replace(action, id=f"{name}/{n}") for n, action in enumerate(actions)),
        alternatives=tuple(draw(st.lists(text, max_size=3))),
        inputs=draw(st.dictionaries(text, json_values, max_size=4)),
    )


@given(decisions(), st.data())
@SHARED_STORE
def test_any_decision_comes_back_as_it_was(store: Store, made: Decision, data: st.DataObject) -> None:
    times = st.none() | instants
    outcomes = tuple(
        data.draw(st.builds(Outcome, st.just(action.id), st.sampled_from(OutcomeState), times, times, times, text))
        for action in made.actions
    )
    store.record([made, *outcomes])
    assert store.decision(made.id) == (made, outcomes)


@given(st.data())
@SHARED_STORE
def test_any_state_comes_back_as_it_was(store: Store, data: st.DataObject) -> None:
    name, times = f"any-{next(_ids)}", st.none() | instants
    forever = st.just(datetime(2200, 1, 1, tzinfo=UTC))
    spans = st.timedeltas(timedelta(0), timedelta(days=365))
    order = data.draw(
        st.builds(Curtailment, st.just(name), finite, st.none() | finite, instants, forever, spans, text, text, forever)
    )
    states = st.sampled_from([BreachState.ACTIVE, BreachState.ESCALATED])
    kinds = st.sampled_from(BreachKind)
    noticed = data.draw(st.builds(Breach, st.just(name), kinds, text, states, instants, text, times, times))
    job = data.draw(st.builds(JobRecord, st.just(name), text, finite, finite, st.integers(0, 1000), times, text))
    mark = data.draw(st.builds(MeterMark, st.sampled_from(Metric), st.just(name), finite, instants))
    store.record([order, noticed, job, mark])
    memory = store.restore(NOW)
    assert order in memory.curtailments
    assert noticed in memory.breaches
    assert job in memory.jobs
    assert mark in memory.marks


@given(st.data())
@SHARED_STORE
def test_any_observation_comes_back_as_it_was(store: Store, data: st.DataObject) -> None:
    at = datetime(2101, 1, 1, tzinfo=UTC) + next(_ids) * MINUTE
    feeders = st.dictionaries(text, finite, max_size=4).map(lambda kw: tuple(kw.items()))
    seen = data.draw(
        st.builds(ObservationRecord, st.just(at), finite, text, *[finite] * 6, feeders, st.lists(text).map(tuple))
    )
    store.record([seen])
    assert list(store.observations(at, at + MINUTE)) == [seen]


amounts = st.floats(0, 1e6)
postings = st.builds(
    Posting,
    start=st.integers(0, 3).map(lambda n: NOW + n * 15 * MINUTE),
    account=st.sampled_from([*(account.value for account in Account), "ppa"]),
    subject=st.sampled_from(["s21", "h100", "train"]),
    price_usd_per_mwh=st.sampled_from([-20.0, 0.0, 35.5, 4999.0]),
    price_basis=st.just("real_time"),
    energy_kwh=amounts,
    cost_usd=st.floats(-1e6, 1e6),
    quantity=amounts,
    revenue_usd=amounts,
    credit_usd=amounts,
)


@given(st.lists(postings, max_size=30), st.randoms(use_true_random=False), st.integers(1, 10))
@SHARED_STORE
def test_totals_do_not_depend_on_order_or_grouping_of_postings(
    store: Store, drawn: list[Posting], rng: random.Random, group: int
) -> None:
    # A day of its own for each example, and one for each of its two orders.
    in_order, shuffled = (datetime(2150, 1, 1, tzinfo=UTC) + next(_ids) * timedelta(days=1) for _ in range(2))

    def on(day: datetime, given_: list[Posting]) -> list[Posting]:
        return [replace(item, start=day + (item.start - NOW)) for item in given_]

    store.record(on(in_order, drawn))
    mixed = on(shuffled, rng.sample(drawn, len(drawn)))
    for first in range(0, len(mixed), group):
        store.record(mixed[first : first + group])
    sums = totals(store.ledger(in_order, in_order + timedelta(days=1)))
    again = totals(store.ledger(shuffled, shuffled + timedelta(days=1)))
    expected = totals(drawn)
    for found in (sums, again):
        assert found.energy_kwh == pytest.approx(expected.energy_kwh)
        # To the cent: sums in another order may differ in the last bit, which may round the other way.
        assert found.profit_usd == pytest.approx(expected.profit_usd, abs=Decimal("0.05"))
        assert found.energy_cost_usd == pytest.approx(expected.energy_cost_usd, abs=CENT)
        assert found.sla_credits_usd == pytest.approx(expected.sla_credits_usd, abs=CENT)


# --- many at once, and a kill


def test_readers_in_other_threads_see_whole_records(store: Store) -> None:
    """Mark and ledger are written together, so no reader sees a mark ahead of the ledger."""
    stop, seen, failures = threading.Event(), threading.Event(), list[object]()

    def read() -> None:
        try:
            while not stop.is_set():
                mark = next((mark.value for mark in store.restore(NOW).marks), 0.0)
                posted = sum(line.energy_kwh for line in ledger_of(store))
                if mark > posted:  # the ledger is read after the mark: it may be ahead, never behind
                    failures.append((mark, posted))
                seen.set()
        except Exception as error:  # noqa: BLE001 (handed to the test's thread)
            failures.append(error)
            seen.set()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        assert seen.wait(30)
        for number in range(1, 101):
            store.record([posting(1.0), MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", float(number), NOW)])
    finally:
        stop.set()
        for reader in readers:
            reader.join(30)
    assert failures == []


CHILD = """
import sys
from datetime import UTC, datetime
from orchestrator.adapters.store import SqlStore
from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.domain.observation import Metric

now = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
store = SqlStore.open(sys.argv[1])
last = next((int(mark.value) for mark in store.restore(now).marks), 0)
for number in range(last + 1, 1_000_000):
    store.record([
        Posting(now, Account.MINING, "s21", 312.0, "real_time", energy_kwh=1.0),
        MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", float(number), now),
    ])
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_acknowledged_and_posts_nothing_twice(url: str, open_store: OpenStore) -> None:
    """Killed with SIGKILL five times at random moments, each child going on where the one before was."""
    root = Path(orchestrator.__file__).parents[1]
    on_disk = 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, url], cwd=root, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        assert child.stdout is not None
        try:
            lines = random.randint(1, 200)
            printed = list(itertools.islice(child.stdout, lines))
            time.sleep(random.uniform(0, 0.02))  # waits for nothing: it moves the kill to any point of a later record
            child.send_signal(signal.SIGKILL)
            printed += [line for line in child.stdout if line.endswith("\n")]
        finally:
            child.kill()
            child.wait(30)
            watchdog.cancel()
            child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        assert len(printed) >= lines
        assert int(printed[0]) == on_disk + 1
        assert int(printed[-1]) == on_disk + len(printed)
        with open_store() as store:
            (mark,) = store.restore(NOW).marks
            on_disk = int(mark.value)
            assert on_disk in (int(printed[-1]), int(printed[-1]) + 1)  # the last may be on disk and not yet printed
            assert sum(line.energy_kwh for line in ledger_of(store)) == on_disk
