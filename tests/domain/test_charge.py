"""What charges a site can have."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from orchestrator.accounting.charges.block import Ppa
from tests.adder import Adder
from tests.power_block import charged
from tests.sites import small_site

ADDER, PPA = Adder(7.0, 16, 21, "UTC"), Ppa(2000.0, 38.0, 3.0)


@dataclass(frozen=True, slots=True)
class OtherPpa(Ppa):
    name: ClassVar[str] = "other"


def test_a_name_is_of_one_charge() -> None:
    with pytest.raises(ValueError, match="no two charges of one name"):
        charged(small_site(), ADDER, PPA, Adder(3.0, 0, 24, "UTC"))


def test_one_charge_buys_power_ahead() -> None:
    with pytest.raises(ValueError, match="buys power ahead"):
        charged(small_site(), PPA, OtherPpa(100.0, 38.0, None))
    assert len(charged(small_site(), PPA, ADDER).grid.charges) == 2
