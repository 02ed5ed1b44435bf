"""Price documents: what is taken, and that one bad entry refuses the whole with its place."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.prices.document import MAX_ENTRIES, PriceDocumentError, parse_price_document
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.domain.market import Market, Price

START = datetime(2023, 9, 6, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def entry(index: int = 0, **changes: object) -> dict[str, object]:
    start = START + index * QUARTER
    return {
        "interval_start_utc": start.isoformat(),
        "interval_end_utc": (start + QUARTER).isoformat(),
        "real_time_usd_per_mwh": 769.84,
    } | changes


def test_either_price_or_both_are_taken() -> None:
    prices = parse_price_document(
        {
            "prices": [
                entry(1, day_ahead_usd_per_mwh=-3),
                entry(0),
                {
                    **{k: v for k, v in entry(2).items() if "real" not in k},
                    "day_ahead_usd_per_mwh": 5.5,
                    "note": "kept out",
                },
            ],
            "published_at": "2023-09-06T23:00:00Z",
        }
    )
    assert prices == (
        Price(START, START + QUARTER, 769.84, Market.REAL_TIME),
        Price(START + QUARTER, START + 2 * QUARTER, 769.84, Market.REAL_TIME),
        Price(START + QUARTER, START + 2 * QUARTER, -3.0, Market.DAY_AHEAD),
        Price(START + 2 * QUARTER, START + 3 * QUARTER, 5.5, Market.DAY_AHEAD),
    )


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"real_time_usd_per_mwh": "769.84"}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": None}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": True}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": float("nan")}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": float("inf")}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": 10**400}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": 50_001}, "/prices/1/real_time_usd_per_mwh"),
        ({"real_time_usd_per_mwh": [1]}, "/prices/1/real_time_usd_per_mwh"),
        ({"day_ahead_usd_per_mwh": -5001.0}, "/prices/1/day_ahead_usd_per_mwh"),
        ({"interval_start_utc": "2023-09-06T23:15:00"}, "/prices/1/interval_start_utc"),
        ({"interval_start_utc": 1694041200}, "/prices/1/interval_start_utc"),
        ({"interval_start_utc": "0001-01-01T00:00:00+14:00"}, "/prices/1/interval_start_utc"),
        ({"interval_end_utc": None}, "/prices/1/interval_end_utc"),
        ({"interval_end_utc": "2023-09-06T23:15:00Z"}, "/prices/1/interval_end_utc"),
        ({"interval_end_utc": "2023-09-07T23:15:00Z"}, "/prices/1/interval_end_utc"),
        ({"interval_start_utc": START.isoformat(), "interval_end_utc": (START + QUARTER).isoformat()}, "/prices/1"),
    ],
)
def test_one_bad_entry_is_named_and_refuses_the_whole(changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(PriceDocumentError) as caught:
        parse_price_document({"prices": [entry(0), entry(1, **changes), entry(2)]})
    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert problem.allowed
    assert len(problem.value) <= 80


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (None, ""),
        ([], ""),
        ("prices", ""),
        ({}, "/prices"),
        ({"prices": {}}, "/prices"),
        ({"prices": []}, "/prices"),
        ({"prices": [entry(0)] * (MAX_ENTRIES + 1)}, "/prices"),
        ({"prices": [7]}, "/prices/0"),
        ({"prices": [{k: v for k, v in entry().items() if "real" not in k}]}, "/prices/0"),
    ],
)
def test_a_document_of_another_shape_is_refused(document: object, pointer: str) -> None:
    with pytest.raises(PriceDocumentError) as caught:
        parse_price_document(document)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_many_problems_are_counted_and_the_first_twenty_kept() -> None:
    with pytest.raises(PriceDocumentError, match=r"\.\.\. and 30 more") as caught:
        parse_price_document({"prices": [entry(index, real_time_usd_per_mwh="x") for index in range(50)]})
    assert (caught.value.count, len(caught.value.problems)) == (50, 20)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(entry(day_ahead_usd_per_mwh=1.0))), value=json_values)
def test_whatever_stands_in_a_document_it_is_taken_sound_or_refused(key: str, value: object) -> None:
    document = json.loads(json.dumps({"prices": [entry(day_ahead_usd_per_mwh=1.0) | {key: value}]}))
    try:
        prices = parse_price_document(document)
    except PriceDocumentError as error:
        refused: PriceDocumentError | None = error
        prices = ()
    else:
        refused = None
    assert all(-5000 <= price.usd_per_mwh <= 50_000 for price in prices)
    assert bool(prices) != bool(refused)
    assert refused is None or refused.problems[0].pointer.startswith("/prices/0")


# --- what a push changes


def price(index: int, usd_per_mwh: float, length: timedelta = QUARTER) -> Price:
    return Price(START + index * QUARTER, START + index * QUARTER + length, usd_per_mwh, Market.REAL_TIME)


async def test_a_push_says_what_it_added_corrected_and_left() -> None:
    pushed = PushedPrices()
    first = pushed.accept([price(0, 5000.0), price(1, 4000.0)], START)
    assert first.added == (price(0, 5000.0), price(1, 4000.0))
    second = pushed.accept([price(0, 50.0), price(1, 4000.0), price(2, 1.0)], START)
    assert second.corrected == ((price(0, 5000.0), price(0, 50.0)),)
    assert (second.added, second.unchanged, second.out_of_range) == ((price(2, 1.0),), 1, 0)
    assert (await pushed.read(START + 3 * QUARTER)).real_time == (price(0, 50.0), price(1, 4000.0), price(2, 1.0))


async def test_a_correction_of_another_length_leaves_no_overlap() -> None:
    pushed = PushedPrices()
    pushed.accept([price(0, 9.0, timedelta(hours=1))], START)
    changes = pushed.accept([price(1, 1.0), price(2, 2.0)], START)
    assert changes.corrected == ((price(0, 9.0, timedelta(hours=1)), price(1, 1.0)),)
    assert (await pushed.read(START + 9 * QUARTER)).real_time == (price(1, 1.0), price(2, 2.0))


async def test_prices_far_from_now_are_not_kept() -> None:
    pushed = PushedPrices()
    changes = pushed.accept([price(0, 1.0)], START + timedelta(days=29) + QUARTER)
    assert changes.out_of_range == 1
    assert pushed.accept([price(0, 1.0)], START - timedelta(days=8)).out_of_range == 1
    assert (await pushed.read(START)).real_time == ()
