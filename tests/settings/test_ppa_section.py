"""`grid.ppa`: what is taken from it, and what is said of each slip."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.accounting.charges.block import Ppa
from orchestrator.runtime.check.inputs import read_inputs
from orchestrator.runtime.check.tables import site_tables
from orchestrator.settings import SettingsError, load_settings

Edit = Callable[..., Path]

COMMENTED = "  # ppa: {block_kw: 40000, price_usd_per_mwh: 38, sell_back_spread_usd_per_mwh: 3}"
"""In the example."""


def with_ppa(edited: Edit, ppa: str) -> Path:
    return edited((COMMENTED, f"  ppa: {ppa}"))


@pytest.mark.parametrize(
    ("ppa", "taken"),
    [
        (COMMENTED.partition("ppa: ")[2], Ppa(40_000.0, 38.0, 3.0)),
        ("{block_kw: 40000, price_usd_per_mwh: 38}", Ppa(40_000.0, 38.0, None)),
        ("{block_kw: 40000, price_usd_per_mwh: 0, sell_back_spread_usd_per_mwh: null}", Ppa(40_000.0, 0.0, None)),
        ("{block_kw: 0.5, price_usd_per_mwh: 38, sell_back_spread_usd_per_mwh: 0}", Ppa(0.5, 38.0, 0.0)),
        ("null", None),
    ],
)
def test_a_block_is_taken_as_it_is_written(edited: Edit, ppa: str, taken: Ppa | None) -> None:
    settings = load_settings(with_ppa(edited, ppa), {})
    assert settings.site.grid.charges == (() if taken is None else (taken,))
    assert not [warning for warning in settings.warnings if "ppa" in warning]


@pytest.mark.parametrize(
    ("ppa", "key", "allowed"),
    [
        ("{block_kw: 0, price_usd_per_mwh: 38}", "grid.ppa.block_kw", "above 0"),
        ("{block_kw: -40000, price_usd_per_mwh: 38}", "grid.ppa.block_kw", "above 0"),
        ("{block_kw: .inf, price_usd_per_mwh: 38}", "grid.ppa.block_kw", "a number above 0"),
        ("{block_kw: 40 MW, price_usd_per_mwh: 38}", "grid.ppa.block_kw", "kW"),
        ("{block_kw: 40000}", "grid.ppa.price_usd_per_mwh", "USD/MWh"),
        ("{block_kw: 40000, price_usd_per_mwh: -1}", "grid.ppa.price_usd_per_mwh", "from 0"),
        ("{block_kw: 40000, price_usd_per_mwh: .nan}", "grid.ppa.price_usd_per_mwh", "from 0"),
        (
            "{block_kw: 40000, price_usd_per_mwh: 38, sell_back_spread_usd_per_mwh: -3}",
            "grid.ppa.sell_back_spread_usd_per_mwh",
            "from 0",
        ),
        ("{block_kw: 40000, price_usd_per_mwh: 38, spread: 3}", "grid.ppa.spread", "sell_back_spread_usd_per_mwh"),
        ("[40000, 38, 3]", "grid.ppa", "block_kw"),
        ("true", "grid.ppa", "block_kw"),
    ],
)
def test_nonsense_is_refused_with_line_key_and_what_is_allowed(edited: Edit, ppa: str, key: str, allowed: str) -> None:
    path = with_ppa(edited, ppa)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    (problem,) = caught.value.problems
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.startswith("  ppa:"))
    assert (problem.key, problem.line) == (key, line)
    assert allowed in problem.allowed


@pytest.mark.parametrize(("spread", "fate"), [(", sell_back_spread_usd_per_mwh: 3", "sold back"), ("", "lost")])
def test_a_block_above_the_connection_is_a_warning(edited: Edit, spread: str, fate: str) -> None:
    path = with_ppa(edited, f"{{block_kw: 120000, price_usd_per_mwh: 38{spread}}}")
    assert any(
        "grid.ppa.block_kw: more than the 100,000 kW of the grid connection" in warning and f"always {fate}" in warning
        for warning in load_settings(path, {}).warnings
    )


def test_check_shows_the_contract_in_words(edited: Edit) -> None:
    settings = load_settings(
        with_ppa(edited, "{block_kw: 40000, price_usd_per_mwh: 38, sell_back_spread_usd_per_mwh: 3}"), {}
    )
    console = Console(width=120, record=True)
    console.print(next(iter(site_tables(settings, read_inputs(settings)))))
    assert "block of 40.0 MW at 38 USD/MWh: unused power is sold back at market - 3" in console.export_text()
