"""A charge that is new comes into the site file by its own lines of the schema alone."""

from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.accounting.charges.block import Ppa
from orchestrator.runtime.check.inputs import read_inputs
from orchestrator.runtime.check.tables import site_tables
from orchestrator.settings import SettingsError, load_settings
from tests import adder

LINE = "adder: {usd_per_mwh: 7, from_hour: 16, to_hour: 21}"
ADDER = adder.Adder(7.0, 16, 21, "America/Chicago")


def test_it_is_taken_as_it_is_written_and_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder.written_down(monkeypatch)
    settings = load_settings(adder.site_file(tmp_path, LINE), {})
    assert settings.site.grid.charges == (ADDER,)
    console = Console(width=120, record=True)
    console.print(next(iter(site_tables(settings, read_inputs(settings)))))
    told = console.export_text()
    assert "delivery" in told
    assert ADDER.text in told


def test_charges_are_in_the_order_of_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder.written_down(monkeypatch)
    file = adder.site_file(tmp_path, LINE, "ppa: {block_kw: 40000, price_usd_per_mwh: 38}")
    assert load_settings(file, {}).site.grid.charges == (Ppa(40_000.0, 38.0, None), ADDER)


def test_without_its_lines_its_key_is_refused_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"grid\.adder: found an unknown key"):
        load_settings(adder.site_file(tmp_path, LINE), {})
