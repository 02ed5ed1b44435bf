"""Moves that no driver of the small site makes, and what each says: fleet s21 of 3 racks, pool h100."""

import math

from orchestrator.domain.decision import LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP

REFUSED_MOVES: list[tuple[Move, str]] = [
    (SetFleet("s19", RackMix({SLEEP: 3})), "no fleet s19; there is s21"),
    (SetFleet("s21", RackMix({"turbo": 3})), "fleet s21 has no mode turbo; it has sleep, eco, normal"),
    (SetFleet("s21", RackMix({"normal": 4})), "fleet s21 has 3 racks; {'normal': 4} does not add up to them"),
    (SetFleet("s21", RackMix({"normal": 2})), "fleet s21 has 3 racks; {'normal': 2} does not add up to them"),
    (
        SetFleet("s21", RackMix({"normal": 4, SLEEP: -1})),
        "fleet s21 has 3 racks; {'normal': 4, 'sleep': -1} does not add up to them",
    ),
    (LimitGpus("a100", 400.0), "no pool a100; there is h100"),
    (LimitGpus("h100", 199.0), "pool h100: a GPU takes a limit of 200 to 700 W, not 199"),
    (LimitGpus("h100", 701.0), "pool h100: a GPU takes a limit of 200 to 700 W, not 701"),
    (LimitGpus("h100", math.nan), "pool h100: a GPU takes a limit of 200 to 700 W, not nan"),
    (RunJob("nobody"), "no job nobody"),
    (PauseJob("nobody"), "no job nobody"),
]
