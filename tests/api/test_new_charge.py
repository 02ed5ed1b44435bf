"""GET /site and /state tell a charge that is new."""

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.adder import Adder
from tests.power_block import charged

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk


@pytest.mark.parametrize(("until", "more"), [(21, 7.0), (18, 0.0)])
async def test_it_is_told_in_words_and_figures(
    client: httpx.AsyncClient, desk: "FakeDesk", until: int, more: float
) -> None:
    """It is a Wednesday, 18:05 at the site."""
    adder = Adder(7.0, 16, until, "America/Chicago")
    desk.site = charged(desk.site, adder)
    told = (await client.get("/api/v1/site")).json()["charges"]
    assert told == {
        "adder": {
            "text": adder.text,
            "usd_per_mwh": 7.0,
            "from_hour": 16,
            "to_hour": until,
            "timezone": "America/Chicago",
        }
    }
    observed = (await client.get("/api/v1/state")).json()["observed"]
    marginal = observed["price"]["usd_per_mwh"] + more
    assert observed["charges"] == {
        "adder": {
            "text": adder.text,
            "marginal_usd_per_mwh": pytest.approx(marginal),
            "more_usd_per_mwh": pytest.approx(more),
        }
    }
    waits = (await client.get("/api/v1/plan/jobs/align-13")).json()["now"]
    assert f" {marginal:.0f} USD/MWh" in waits
