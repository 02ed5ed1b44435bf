"""How many racks of a fleet are in which mode: counted, turned into steps and back, worded, and given to racks."""

from collections import Counter
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import final

from orchestrator.domain.site.machines import SLEEP, Fleet


@final
class RackMix(Mapping[str, int]):
    """Racks of one fleet by mode, SLEEP among them; none at zero. It never changes and keeps the order given to it."""

    __slots__ = ("_racks",)

    def __init__(self, racks: Mapping[str, int]) -> None:
        self._racks = {mode: count for mode, count in racks.items() if count}

    @staticmethod
    def counted(fleet: Fleet, modes: Iterable[str]) -> "RackMix":
        """From the mode of each rack; those asleep first, then from the weakest mode up."""
        counter = Counter(modes)
        return RackMix({mode: counter[mode] for mode in (SLEEP, *(mode.name for mode in fleet.modes))})

    @staticmethod
    def of_steps(racks: int, modes: Sequence[str], above: Sequence[int]) -> "RackMix":
        """Of `racks` racks, of which `above[n]` are in `modes[n]` or a stronger one; `modes` go up in power."""
        counts = {SLEEP: racks - above[0] if modes else racks}
        for number, mode in enumerate(modes):
            counts[mode] = above[number] - (above[number + 1] if number + 1 < len(modes) else 0)
        return RackMix(counts)

    def at_or_above(self, fleet: Fleet, modes: Iterable[str]) -> list[int]:
        """For each of `modes`, the racks in it or a stronger one."""
        strength = {mode.name: number for number, mode in enumerate(fleet.modes)}
        awake = [(strength[mode], count) for mode, count in self._racks.items() if mode != SLEEP]
        return [sum(count for at, count in awake if at >= strength[mode]) for mode in modes]

    def lowered(self, fleet: Fleet, to: "RackMix", by: int | None = None) -> "RackMix":
        """As far down as `to` is below it, none up; of each mode and those above it `by` racks at most."""

        def lower(mode: str, have: int, want: int) -> int:
            del mode
            return min(have, want if by is None else max(want, have - by))

        return self._moved(fleet, to, lower)

    def steps_above(self, fleet: Fleet, below: "RackMix") -> int:
        """The most racks that are to leave a mode and those above it on the way to `below`."""
        modes = [mode.name for mode in fleet.modes]
        pairs = zip(self.at_or_above(fleet, modes), below.at_or_above(fleet, modes), strict=True)
        return max((have - want for have, want in pairs), default=0)

    def raised(self, fleet: Fleet, to: "RackMix", granted: Callable[[str, int], int]) -> "RackMix":
        """As far up as `to` is above it, none down, a rack through each mode below its own first.

        `granted` is asked for each mode, the weakest first, how many of the racks that should go into it may.
        """
        reached = fleet.racks

        def higher(mode: str, have: int, want: int) -> int:
            nonlocal reached
            wanted = min(want, reached) - have
            reached = have + granted(mode, wanted) if wanted > 0 else have
            return reached

        return self._moved(fleet, to, higher)

    def _moved(self, fleet: Fleet, to: "RackMix", step: Callable[[str, int, int], int]) -> "RackMix":
        """`step` gives, for each mode from the weakest up, the racks in it or above it, from those here and there."""
        modes = [mode.name for mode in fleet.modes]
        pairs = zip(modes, self.at_or_above(fleet, modes), to.at_or_above(fleet, modes), strict=True)
        return RackMix.of_steps(fleet.racks, modes, [step(mode, have, want) for mode, have, want in pairs])

    def with_racks(self, fleet: Fleet, modes: Iterable[str]) -> "RackMix":
        """With a rack more in each of `modes`, those asleep first, then from the weakest mode up."""
        return RackMix.counted(fleet, (*Counter(self._racks).elements(), *modes))

    @property
    def awake(self) -> int:
        return sum(count for mode, count in self._racks.items() if mode != SLEEP)

    @property
    def asleep(self) -> int:
        return self._racks.get(SLEEP, 0)

    def by_mode(self, fleet: Fleet) -> dict[str, int]:
        """As documents have it: every mode is named, SLEEP first, those without racks too."""
        return {mode: self._racks.get(mode, 0) for mode in (SLEEP, *(mode.name for mode in fleet.modes))}

    def awake_first(self) -> "RackMix":
        """The same in the order in which plans are read: what sleeps goes last."""
        awake = {mode: count for mode, count in self._racks.items() if mode != SLEEP}
        return RackMix({**awake, SLEEP: self.asleep})

    def text(self, asleep: str = "asleep") -> str:
        """`2 asleep, 4 eco, 6 turbo`; `asleep` is the word for the mode of those that sleep."""
        return ", ".join(f"{count} {asleep if mode == SLEEP else mode}" for mode, count in self._racks.items())

    def __getitem__(self, mode: str) -> int:
        return self._racks[mode]

    def __iter__(self) -> Iterator[str]:
        return iter(self._racks)

    def __len__(self) -> int:
        return len(self._racks)

    def items(self) -> ItemsView[str, int]:
        return self._racks.items()

    def __eq__(self, other: object) -> bool:
        return self._racks == (other._racks if isinstance(other, RackMix) else other)

    def __hash__(self) -> int:
        return hash(frozenset(self._racks.items()))

    def __repr__(self) -> str:
        return f"RackMix({self._racks})"


def choose_racks(
    fleet: Fleet, current: Mapping[str, str], wanted: Mapping[str, int], sleep_first: Sequence[str] = ()
) -> dict[str, str]:
    """A mode for every rack, `wanted[mode]` racks in each; the counts add up to the number of racks.

    If fewer are to be awake, those in `sleep_first` go to sleep in that order, as far as racks are to leave their mode.
    Racks stay in their mode as far as it is wanted: awake the lowest numbered, asleep the highest. Of those that must
    change, awake ones take the open awake places before any sleeping rack is woken, lowest number first.
    """
    racks = fleet.rack_names()
    chosen: dict[str, str] = {}
    left = dict(wanted)
    awake = [rack for rack in racks if current[rack] != SLEEP]
    asleep = [rack for rack in racks if current[rack] == SLEEP]
    fewer = len(awake) - sum(count for mode, count in wanted.items() if mode != SLEEP)
    surplus = Counter(current[rack] for rack in awake)
    surplus.subtract({mode: count for mode, count in wanted.items() if mode != SLEEP})
    for rack in sleep_first:
        if fewer > 0 and rack in awake and surplus[current[rack]] > 0:
            surplus[current[rack]] -= 1
            fewer -= 1
            chosen[rack] = SLEEP
            left[SLEEP] -= 1
            awake.remove(rack)
    for rack in (*awake, *reversed(asleep)):
        if left.get(current[rack], 0) > 0:
            chosen[rack] = current[rack]
            left[current[rack]] -= 1
    movable = [rack for rack in (*awake, *asleep) if rack not in chosen]
    places = [mode.name for mode in reversed(fleet.modes) for _ in range(left.get(mode.name, 0))]
    for rack, mode in zip(movable, places, strict=False):
        chosen[rack] = mode
    return {rack: chosen.get(rack, SLEEP) for rack in racks}
