"""`wattshift backtest` as it is used: files in, figures out, and errors that say what is wrong."""

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from orchestrator.runtime.backtest.processes import ProcessError, Work, run_all
from tests.command import ended_here

ROOT = Path(__file__).parents[2]
START = datetime(2024, 5, 1, 5, tzinfo=UTC)


def price_file(folder: Path, hours: int = 24) -> Path:
    """Quarters of an hour, dear at noon."""
    lines = ["interval_start_utc,real_time_usd_per_mwh,day_ahead_usd_per_mwh"]
    for quarter in range(4 * hours):
        at = START + timedelta(minutes=15 * quarter)
        usd = 800 if at.hour in (17, 18) else 20 + quarter % 5
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{usd},{usd - 1}")
    file = folder / "prices.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def trace_file(folder: Path) -> Path:
    lines = ["timestamp,duration,num_gpus,gpu_time,cluster"]
    for number in range(200):
        at = datetime(2017, 10, 3) + timedelta(minutes=7 * number)  # noqa: DTZ001  local times, as the trace has them
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},{600 + 37 * number},{1 + number % 8},0,c{number}")
    lines.append("2017-10-03 01:00:00,-5,1,-5,broken")
    file = folder / "trace.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def backtest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator.cli", "backtest", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def recomputed(records: Path, strategy: str) -> dict[str, float]:
    """A strategy's figures from its records alone."""
    rows = [row for row in pyarrow.parquet.read_table(records).to_pylist() if row["strategy"] == strategy]
    mining = sum(row["hash_ph_days"] * row["hashprice_usd_per_ph_day"] for row in rows if row["kind"] == "fleet")
    hpc = sum(row["revenue_usd"] for row in rows if row["kind"] == "job")
    cost = sum(row["it_kw"] * row["pue"] * 0.25 / 1000.0 * row["price_usd_per_mwh"] for row in rows)
    credit = credits_by_rule(records, rows)
    return {"mining": mining, "hpc": hpc, "cost": cost, "credit": credit, "profit": mining + hpc - cost - credit}


def credits_by_rule(records: Path, rows: list[dict[str, Any]]) -> float:
    """SLA credits by docs/backtest.md, of what the rows say of work alone: no credit in them is read."""
    tenants = json.loads(pyarrow.parquet.read_schema(records).metadata[b"wattshift"])["tenants"]
    until = max(row["end"] for row in rows)
    by_job: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "job":
            by_job[row["subject"]].append(row)
    total = 0.0
    for of_job in by_job.values():
        asked, tenant = of_job[0], tenants[of_job[0]["tenant"]]
        share_usd = tenant["credit_share"] * tenant["usd_per_gpu_h"]
        undone = 0.0
        if asked["due"] is not None and asked["due"] <= until:
            undone = max(asked["asked_gpu_hours"] - sum(done_by(asked["due"], row) for row in of_job), 0.0)
        if tenant["sla"] == "guaranteed" and any(row["interruptions"] for row in of_job):
            undone = asked["asked_gpu_hours"]
        total += share_usd * undone
    return total


def done_by(due: datetime, row: dict[str, Any]) -> float:
    """GPU-hours of an interval that were done by a deadline: after the restart, on all GPUs asked for."""
    hours = (row["end"] - row["start"]) / timedelta(hours=1)
    held_h, work_h = hours * row["gpus"] / row["asked_gpus"], row["gpu_hours"] / row["asked_gpus"]
    before_h = (due - row["start"]) / timedelta(hours=1) - (held_h - work_h)
    return float(min(max(before_h, 0.0), work_h) * row["asked_gpus"])


@dataclass(frozen=True)
class Played:
    """What the command said of a day, and the files it wrote into a folder of its own."""

    folder: Path
    run: subprocess.CompletedProcess[str]
    figures: Path
    report: Path
    records: Path

    @property
    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.figures.read_text())
        return read


DRAW = ("--jobs-a-month", "3000", "--seed", "1")


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All strategies over a day, once for all that look at it; tests/scheduling.py has them in one worker."""
    folder = tmp_path_factory.mktemp("backtest")
    figures, report, records = folder / "out.json", folder / "out.html", folder / "out.parquet"
    run = backtest(
        *("--prices", price_file(folder), "--trace", trace_file(folder), *DRAW),
        *("--cores", "2", "--json", figures, "--report", report, "--records", records),
    )
    assert run.returncode == 0, run.stderr
    return Played(folder, run, figures, report, records)


def test_strategies_side_by_side_from_files_to_report(played: Played) -> None:
    document, run = played.document, played.run
    strategies = document["strategies"]
    assert list(strategies) == ["always-on", "threshold=80", "greedy", "plan", "perfect-prices"]
    assert strategies["greedy"]["profit_usd"] > strategies["always-on"]["profit_usd"]
    for name, found in strategies.items():
        assert found["profit_usd"] <= document["bound_usd"], name
        assert found["capture"] == pytest.approx(found["profit_usd"] / document["bound_usd"], abs=1e-6)
        assert found["seconds_above_cap"] == 0
        again = recomputed(played.records, name)
        assert found["profit_usd"] == pytest.approx(again["profit"], abs=0.02)
        assert found["revenue_usd"]["mining"] == pytest.approx(again["mining"], abs=0.01)
        assert found["revenue_usd"]["hpc"] == pytest.approx(again["hpc"], abs=0.01)
        assert found["energy_cost_usd"] == pytest.approx(again["cost"], abs=0.01)
        assert found["sla_penalty_usd"] == pytest.approx(again["credit"], abs=0.01)
    assert strategies["always-on"]["sla_penalty_usd"] > 0  # so that there is something to compute again
    assert strategies["plan"]["planner"]["plans"] == 96
    assert "\u2026" not in run.stdout
    for found in strategies.values():
        assert f" {found['energy_cost_usd']:,.2f} " in run.stdout
    assert "trace.csv: 1 rows left out" in " ".join(document["warnings"])
    assert "texas-100mw" in played.report.read_text()
    assert list(played.folder.glob("wattshift-backtest-*")) == []  # nothing is left lying about


def test_a_site_with_too_little_power_is_told_so(tmp_path: Path) -> None:
    example = ROOT / "examples" / "texas-100mw.yaml"
    text = (
        example.read_text()
        .replace("limit_kw: 100000", "limit_kw: 3000")
        .replace("files: [", f"files: [{ROOT}/examples/")
    )
    for name in ("hashprice-2023-09.csv", "dallas-2023-09-06-weather.csv"):
        text = text.replace(name, str(ROOT / "examples" / name))
    site, figures, report = tmp_path / "site.yaml", tmp_path / "out.json", tmp_path / "out.html"
    site.write_text(text)
    run = backtest(
        *("--site", site, "--prices", price_file(tmp_path), "--trace", trace_file(tmp_path)),
        *("--strategies", "always-on", "--json", figures, "--report", report),
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(figures.read_text())["warnings"][0]
    assert "the grid connection leaves" in told
    assert f"note: {told}" in run.stdout.replace("\n", " ")
    assert told in report.read_text()


def test_a_seed_is_a_run_again(played: Played, tmp_path: Path) -> None:
    """With fewer strategies beside them too."""
    figures = tmp_path / "again.json"
    inputs = ("--prices", price_file(tmp_path), "--trace", trace_file(tmp_path), *DRAW)
    run = backtest(*inputs, "--strategies", "greedy,plan", "--json", figures)
    assert run.returncode == 0, run.stderr
    again = json.loads(figures.read_text())["strategies"]
    first = played.document["strategies"]
    assert {name: found["profit_usd"] for name, found in again.items()} == {
        name: first[name]["profit_usd"] for name in ("greedy", "plan")
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategies", "best"], "--strategies: 'best' is no strategy; allowed are always-on"),
        (["--from", "yesterday"], "--from yesterday: write a day such as 2024-05-01"),
        (["--prices", "nowhere.csv"], "--prices nowhere.csv: there is no such file"),
        (["--trace", "README.md"], "README.md"),
        (["--trace", "docs"], "--trace docs: this is a folder; name a file in it"),
        (["--hashprice", "docs"], "--hashprice docs: this is a folder"),
        (["--prices", "docs"], "--prices docs: this is a folder"),
        (["--prices", "/dev/null"], "--prices /dev/null: this is no file that can be read twice"),
        (["--timezone", "Mars/Base"], "--timezone Mars/Base: write an IANA name such as America/Chicago, or UTC"),
        (["--from", "2030-01-01"], "no prices from 2030"),
        (["--json", "no-such-folder/out.json"], "--json no-such-folder/out.json: a file is needed"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    run = ended_here("backtest", *arguments)
    assert run.code == 2
    assert says in " ".join(run.err.split())
    assert "Traceback" not in run.err


def test_a_refusal_is_an_exit_code_and_a_sentence_to_who_runs_the_program() -> None:
    run = backtest("--prices", "nowhere.csv")
    assert run.returncode == 2
    assert "--prices nowhere.csv: there is no such file" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr


def test_a_process_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="broken: ZeroDivisionError"):
        run_all([Work("broken", _fails, ()), Work("slow", _says, ())], 2, lambda name, done: None)


def _fails(progress: object) -> None:
    raise ZeroDivisionError("no prices")


def _says(progress: Any) -> int:
    progress(1)
    return 1
