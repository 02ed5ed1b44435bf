"""What is left under a cap, by one rule: the cap, less what its meters may be wrong by, less what is drawn anyway.

The rule is the same for all who ask; what they take for drawn anyway is not, since they ask for different things:

- the moves of a round (`dispatch.moves`): all that is committed now, as measured, for power goes up only into what is
  measured to be free;
- the choice of what should run (`dispatch.room_left`): what no choice can switch off (sleeping machines, idle nodes,
  what is held, racks and nodes that do not follow or answer), at the most that it may draw;
- a plan (`optimizer.formulate`): the same as far as it will still be so in hours, at nameplate;
- a backtest and its bound (`backtest.engine`): every machine asleep and every GPU idle, at nameplate;
- the yardstick of an always-on site (`dispatch.baseline`): the HPC load as it is, machines asleep at nameplate.

Powers, shares and PUEs are numbers or numpy arrays that broadcast; the domain itself knows none.
"""

from typing import Any, Protocol, TypeVar


class _Figures(Protocol):
    """A number, or an array of them."""

    def __add__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...


Kw = TypeVar("Kw", bound=_Figures)

START_MARGIN = 0.003
"""Share of a cap, or of power bought ahead, left free when something new is switched on, so that a small rise of what
is drawn anyway does not switch it off again."""

PLANNED_SHARE = 1.0 - START_MARGIN
"""Share of a cap that is planned with: dispatch switches nothing new on into the rest."""


def usable_share(measurement_uncertainty: float, margin: float = 0.0) -> float:
    """Share of a cap that may be filled by what is measured; `margin` of the cap is left free besides."""
    return 1.0 - measurement_uncertainty - margin


def usable_kw(limit_kw: Kw, measurement_uncertainty: float) -> Kw:
    """The cap less what its meters may be wrong by, at the grid."""
    usable: Kw = limit_kw * usable_share(measurement_uncertainty)
    return usable


def margin_kw(limit_kw: Kw) -> Kw:
    """What is left free of a cap when something new is switched on, at the grid."""
    margin: Kw = limit_kw * START_MARGIN
    return margin


def left_kw(usable_kw: Kw, drawn_it_kw: Kw, pue: Kw | float) -> Kw:
    """What is left of a usable cap beside IT power that is drawn anyway, at the grid; negative where it is too much."""
    drawn_kw: Kw = drawn_it_kw * pue
    return left_beside_kw(usable_kw, drawn_kw)


def left_beside_kw(usable_kw: Kw, drawn_kw: Kw) -> Kw:
    """The same beside power that is drawn at the grid, as its meter shows it."""
    left: Kw = usable_kw - drawn_kw
    return left


def left_it_kw(usable_kw: Kw, drawn_it_kw: Kw | float, pue: Kw | float) -> Kw:
    """The same as IT power: what machines and GPUs may draw more."""
    left: Kw = usable_kw / pue - drawn_it_kw
    return left
