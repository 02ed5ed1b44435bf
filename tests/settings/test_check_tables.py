from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.runtime.check import check

Edit = Callable[..., Path]


def checked(path: Path, width: int = 80) -> tuple[int, str]:
    out = StringIO()
    code = check(path, Console(file=out, width=width), env={})
    return code, out.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_the_example_with_its_totals(example_path: Path, width: int) -> None:
    code, text = checked(example_path, width)
    assert code == 0
    assert "default modes    97.30 MW at 25 degC" in text
    assert "40 racks, 26,680 machines" in " ".join(text.split())
    s21 = next(line for line in text.splitlines() if "3,500" in line)
    # 6,800 machines of 200 TH/s; 41.67 x 61.82 / (1.065 x 17.5) = 138 USD/MWh
    assert s21.split()[-6:] == ["3,500", "200.0", "17.5", "23.80", "1.360", "138"]
    assert "2,752" in text
    assert "warning" in text
    tables = [line for line in text.splitlines() if "warning" not in line and " is sound" not in line]
    assert max(map(len, tables)) <= width
    assert "…" not in text


def test_every_error_is_a_line_of_its_own_when_piped(edited: Edit) -> None:
    path = edited(("racks: 10", "racks: 0"), ("feeder: east", "feeder: est"))
    code, text = checked(path)
    assert code == 2
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{path}:")
    assert "fleets[0].racks: found 0; allowed: a whole number from 1" in lines[0]
    assert lines[2] == "2 errors"


def test_errors_of_the_data_files_are_told_too(edited: Edit, site_folder: Path) -> None:
    path = edited(("racks: 10", "racks: 10"))
    for name in ("ercot-2023-09-06.csv", "hashprice-2023-09.csv", "dallas-2023-09-06-weather.csv"):
        file = site_folder / name
        lines = file.read_text(encoding="utf-8").splitlines()
        first = lines[5].split(",")
        lines[5] = ",".join([first[0], "rubbish", *first[2:]])
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, text = checked(path)
    assert code == 2
    for name in ("ercot-2023-09-06.csv:6", "hashprice-2023-09.csv:6", "dallas-2023-09-06-weather.csv:6"):
        assert name in text
    assert "3 errors" in text


def test_constants_and_pushed_prices(edited: Edit) -> None:
    path = edited(
        ("kind: file\n  files: [ercot-2023-09-06.csv]", "kind: push"),
        ("file: hashprice-2023-09.csv", "usd_per_ph_day: 50"),
        ("file: dallas-2023-09-06-weather.csv", "temperature_c: 20"),
        ("mock:\n  seed: 1\n  nodes_per_exporter: 16\n", ""),
    )
    code, text = checked(path)
    assert code == 0
    for part in ("pushed by POST /api/v1/prices", "50.00 USD per PH/s per day, constant", "20 degC, constant", "real"):
        assert part in text


def test_a_variable_of_the_environment_is_checked_too(example_path: Path) -> None:
    out = StringIO()
    assert check(example_path, Console(file=out, width=80), env={"WATTSHIFT_API_KEY": "short"}) == 2
    assert "environment: WATTSHIFT_API_KEY" in out.getvalue()
