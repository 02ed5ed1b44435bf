"""Counts of racks by mode, and which racks take which mode."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.site.machines import Fleet, Mode

FLEET = Fleet(
    name="s21",
    model="Antminer S21",
    feeder="a",
    racks=5,
    machines_per_rack=300,
    modes=(Mode("eco", 2800.0, 174.0), Mode("normal", 3500.0, 200.0)),
    default_mode="normal",
    sleep_w=15.0,
    warm_up=timedelta(minutes=8),
    min_on=timedelta(minutes=15),
    min_off=timedelta(minutes=15),
)
RACKS = FLEET.rack_names()
MODES = ["sleep", "eco", "normal"]


def modes(*names: str) -> dict[str, str]:
    return dict(zip(RACKS, names, strict=True))


def test_sleeping_racks_wake_lowest_number_first() -> None:
    now = modes("sleep", "normal", "sleep", "sleep", "sleep")
    assert choose_racks(FLEET, now, {"normal": 3, "sleep": 2}) == modes("normal", "normal", "normal", "sleep", "sleep")


def test_the_highest_numbered_go_first() -> None:
    now = modes("normal", "normal", "sleep", "normal", "normal")
    assert choose_racks(FLEET, now, {"normal": 2, "sleep": 3}) == modes("normal", "normal", "sleep", "sleep", "sleep")


def test_an_awake_rack_changes_mode_before_a_sleeping_one_is_woken() -> None:
    now = modes("sleep", "sleep", "sleep", "normal", "normal")
    assert choose_racks(FLEET, now, {"eco": 2, "sleep": 3}) == modes("sleep", "sleep", "sleep", "eco", "eco")


@given(
    st.lists(st.sampled_from(MODES), min_size=5, max_size=5), st.lists(st.sampled_from(MODES), min_size=5, max_size=5)
)
def test_the_counts_are_kept_and_no_rack_changes_without_need(before: list[str], wanted: list[str]) -> None:
    current = modes(*before)
    counts = {mode: wanted.count(mode) for mode in MODES}
    chosen = choose_racks(FLEET, current, counts)
    assert {mode: list(chosen.values()).count(mode) for mode in MODES} == counts
    changed = sum(chosen[rack] != current[rack] for rack in RACKS)
    assert changed == sum(max(counts[mode] - before.count(mode), 0) for mode in MODES)
    woken = sum(current[rack] == "sleep" and chosen[rack] != "sleep" for rack in RACKS)
    assert woken == max(before.count("sleep") - counts["sleep"], 0)
    assert choose_racks(FLEET, chosen, counts) == chosen


def test_named_racks_sleep_before_the_highest_numbered() -> None:
    now = modes("normal", "normal", "eco", "normal", "sleep")
    wanted = {"normal": 2, "eco": 1, "sleep": 2}
    assert choose_racks(FLEET, now, wanted, (RACKS[1],)) == modes("normal", "sleep", "eco", "normal", "sleep")


def test_a_named_rack_stays_if_none_is_to_leave_its_mode() -> None:
    now = modes("normal", "normal", "eco", "normal", "sleep")
    wanted = {"normal": 2, "eco": 1, "sleep": 2}
    assert choose_racks(FLEET, now, wanted, (RACKS[2], RACKS[0])) == modes("sleep", "normal", "eco", "normal", "sleep")


def test_a_mix_names_no_mode_without_racks_and_is_the_same_in_any_order() -> None:
    mix = RackMix({"eco": 2, "sleep": 3, "normal": 0})
    assert dict(mix) == {"eco": 2, "sleep": 3}
    assert mix == RackMix({"sleep": 3, "eco": 2}) == {"sleep": 3, "eco": 2}
    assert hash(mix) == hash(RackMix({"sleep": 3, "eco": 2}))
    assert (mix.awake, mix.asleep, mix.by_mode(FLEET)) == (2, 3, {"sleep": 3, "eco": 2, "normal": 0})


def test_a_mix_in_words() -> None:
    mix = RackMix({"sleep": 3, "eco": 2})
    assert (mix.text(), mix.text(asleep="sleep"), mix.awake_first().text()) == (
        "3 asleep, 2 eco",
        "3 sleep, 2 eco",
        "2 eco, 3 asleep",
    )


@given(st.lists(st.sampled_from(MODES), min_size=5, max_size=5))
def test_racks_counted_are_the_same_by_steps_and_one_by_one(racks: list[str]) -> None:
    mix = RackMix.counted(FLEET, racks)
    above = mix.at_or_above(FLEET, ["eco", "normal"])
    assert above == [5 - racks.count("sleep"), racks.count("normal")]
    assert RackMix.of_steps(5, ["eco", "normal"], above) == mix
    assert RackMix.counted(FLEET, racks[:3]).with_racks(FLEET, racks[3:]) == mix
    assert list(mix) == [mode for mode in MODES if mode in racks]


def test_a_fleet_with_no_step_worth_taking_sleeps() -> None:
    assert RackMix.of_steps(5, [], []) == {"sleep": 5}
