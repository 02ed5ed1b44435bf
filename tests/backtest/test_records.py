"""Records, read with pyarrow alone: every figure of the JSON document must come out of them."""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc
import pytest
from pyarrow import Table, parquet

from orchestrator.backtest.records.batch import RowBatch, joined
from orchestrator.backtest.records.parquet import RecordsError, RecordsWriter, join_records
from orchestrator.backtest.records.schema import COLUMNS
from orchestrator.backtest.result import MarketSeries
from orchestrator.backtest.summary import document
from orchestrator.backtest.tally import Tally
from orchestrator.domain.site.site import Site
from tests.backtest.made_up import LEVELS, a_result, a_strategy, made_up_batches, made_up_jobs

VERSIONS = {"wattshift": "0.4.0"}
ASKED = ("pool", "submitted", "due", "asked_gpus", "asked_gpu_hours")


@dataclass
class Written:
    """A file of two strategies, and the document of the same run."""

    path: Path
    batches: dict[str, list[RowBatch]]
    figures: dict[str, Any]


def write(path: Path, site: Site, market: MarketSeries, run: Written, *names: str) -> None:
    with RecordsWriter(path, site, market, made_up_jobs(site, market), seed=7, versions=VERSIONS) as writer:
        for name in names:
            for batch in run.batches[name]:
                writer.write(name, batch, levels=LEVELS)
        writer.describe(run.figures)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, site: Site, market: MarketSeries) -> Written:
    made = Written(tmp_path_factory.mktemp("records") / "run.parquet", {}, {})
    strategies = []
    for name, stop_above in (("always-on", 1e9), ("plan", 65.0)):
        made.batches[name] = list(made_up_batches(site, market, stop_above))
        tally = Tally(site, market)
        for batch in made.batches[name]:
            tally.add(batch)
        strategies.append(a_strategy(name, tally))
    made.figures = document(a_result(site, market, strategies))
    write(made.path, site, market, made, "always-on", "plan")
    return made


def decoded(table: Table) -> Table:
    """With names as strings: row groups number theirs each by itself."""
    return Table.from_pydict(
        {
            column.name: table[column.name].cast("string") if column.kind == "name" else table[column.name]
            for column in COLUMNS
        }
    )


def usd(column: Any) -> Decimal:
    return Decimal(pc.sum(column).as_py() or 0.0).quantize(Decimal("0.01"))


def money(rows: Table) -> dict[str, Any]:
    mining = rows.filter(pc.equal(rows["kind"].cast("string"), "fleet"))
    hpc = rows.filter(pc.equal(rows["kind"].cast("string"), "job"))
    parts = (usd(mining["revenue_usd"]), usd(hpc["revenue_usd"]), usd(rows["cost_usd"]), usd(rows["credit_usd"]))
    return {
        "profit_usd": float(parts[0] + parts[1] - parts[2] - parts[3]),
        "revenue_usd": {"mining": float(parts[0]), "hpc": float(parts[1])},
        "energy_cost_usd": float(parts[2]),
        "sla_penalty_usd": float(parts[3]),
        "energy_mwh": pytest.approx(pc.sum(rows["energy_kwh"]).as_py() / 1000.0, abs=1e-5),
    }


def test_every_figure_of_the_document_comes_out_of_the_records(run: Written) -> None:
    figures = run.figures
    rows = parquet.read_table(run.path)
    zone = ZoneInfo(json.loads(rows.schema.metadata[b"wattshift"])["timezone"])
    assert figures["strategies"].keys() == set(rows["strategy"].to_pylist())
    for name, of in figures["strategies"].items():
        mine = rows.filter(pc.equal(rows["strategy"].cast("string"), name))
        for key, value in money(mine).items():
            assert of[key] == value, key
        assert of["capture"] == pytest.approx(of["profit_usd"] / figures["bound_usd"], abs=1e-6)

        fleets = mine.filter(pc.equal(mine["kind"].cast("string"), "fleet"))
        starts: dict[str, int] = defaultdict(int)
        for fleet, count in zip(fleets["subject"].to_pylist(), fleets["starts"].to_pylist(), strict=True):
            starts[fleet] += count
        assert of["starts_by_fleet"] == starts
        assert of["starts"] == sum(starts.values()) > 0
        assert of["interruptions"] == pc.sum(mine["interruptions"]).as_py() > 0

        jobs = mine.filter(pc.equal(mine["kind"].cast("string"), "job"))
        assert of["job_starts"] == pc.sum(jobs["starts"]).as_py() > 0
        assert sum(outcome["late"] for outcome in of["sla"].values()) > 0
        for tenant, promised in of["sla"].items():
            of_tenant = jobs.filter(pc.equal(jobs["tenant"].cast("string"), tenant))
            for outcome in ("on_time", "late", "withdrawn", "failed", "open"):
                assert promised[outcome] == of_tenant["outcome"].to_pylist().count(outcome), outcome
            assert promised["billed_gpu_hours"] == pytest.approx(pc.sum(of_tenant["gpu_hours"]).as_py())
            assert promised["penalty_usd"] == float(usd(of_tenant["credit_usd"]))
            assert promised["interruptions"] == pc.sum(of_tenant["interruptions"]).as_py()
            beyond = np.maximum(of_tenant["cost_usd"].to_numpy() - of_tenant["revenue_usd"].to_numpy(), 0.0).sum()
            assert promised["unpaid_power_usd"] == pytest.approx(beyond, abs=0.005)

        assert [month["month"] for month in figures["months"]] == ["2024-02", "2024-03"] == list(of["months"])
        for month, sums in of["months"].items():
            local = [f"{at.astimezone(zone):%Y-%m}" == month for at in mine["start"].to_pylist()]
            assert sums == {key: value for key, value in money(mine.filter(local)).items() if key in sums}


def test_each_row_settles_by_itself(run: Written) -> None:
    rows = parquet.read_table(run.path)
    tenants = json.loads(rows.schema.metadata[b"wattshift"])["tenants"]
    for row in rows.slice(0, 400).to_pylist() + rows.slice(rows.num_rows - 400).to_pylist():
        assert (row["end"] - row["start"]).total_seconds() == 900
        assert row["grid_kw"] == pytest.approx(row["it_kw"] * row["pue"])
        assert row["energy_kwh"] == pytest.approx(row["grid_kw"] * 0.25)
        assert row["cost_usd"] == pytest.approx(row["energy_kwh"] * row["price_usd_per_mwh"] / 1000.0)
        if row["kind"] == "fleet":
            assert row["revenue_usd"] == pytest.approx(row["hash_ph_days"] * row["hashprice_usd_per_ph_day"])
            assert (row["gpus"], row["gpu_hours"], row["tenant"]) == (None, None, None)
            assert [row[column] for column in ASKED] == [None] * len(ASKED)
            assert row["level"] in LEVELS
        elif row["kind"] == "job":
            assert row["revenue_usd"] == pytest.approx(row["gpu_hours"] * tenants[row["tenant"]]["usd_per_gpu_h"])
            assert (row["hash_ph_days"], row["level"]) == (None, None)
        else:
            assert (row["kind"], row["revenue_usd"], row["tenant"]) == ("pool", 0.0, None)
            assert [row[column] for column in ASKED] == [None] * len(ASKED)


def test_a_row_of_a_job_says_what_was_asked_for(run: Written, site: Site, market: MarketSeries) -> None:
    asked = made_up_jobs(site, market)
    rows = [row for row in parquet.read_table(run.path).to_pylist() if row["kind"] == "job"]
    never = 0
    for row in rows:
        job = int(row["subject"].rsplit("-", 1)[1])
        assert row["pool"] == site.pools[asked.pool[job]].name
        assert row["submitted"] == datetime.fromtimestamp(asked.submitted_at[job], UTC)
        due = None if np.isinf(asked.deadline[job]) else datetime.fromtimestamp(asked.deadline[job], UTC)
        never += due is None
        assert row["due"] == due
        assert row["asked_gpus"] == asked.gpus[job]
        assert row["asked_gpu_hours"] == pytest.approx(asked.work_gpu_seconds[job] / 3600.0)
    assert 0 < never < len(rows)


def test_both_prices_and_names_are_those_of_the_interval(run: Written, site: Site, market: MarketSeries) -> None:
    at = datetime.fromtimestamp(int(market.start_s[len(market) // 2]), UTC)
    spike = parquet.read_table(run.path, filters=[("start", "=", at), ("strategy", "=", "plan")]).to_pylist()
    assert {(row["price_usd_per_mwh"], row["decided_usd_per_mwh"]) for row in spike} == {(1800.0, 5000.0)}
    of_kind = [row["subject"] for row in spike if row["kind"] != "job"]
    assert of_kind == [*(fleet.name for fleet in site.fleets), *(pool.name for pool in site.pools)]
    assert all(
        row["tenant"] == site.tenants[int(row["subject"].rsplit("-", 1)[1]) % 3].name for row in spike if row["tenant"]
    )


def test_the_file_says_what_it_is(run: Written) -> None:
    schema = parquet.read_schema(run.path)
    about = json.loads(schema.metadata[b"wattshift"])
    assert (about["site"], about["seed"], about["versions"]) == ("texas-100mw", 7, VERSIONS)
    assert about["step_s"] == 900
    assert about["tenants"]["lumen-ai"] == {
        "sla": "flexible",
        "usd_per_gpu_h": 2.1,
        "credit_share": 0.5,
        "interruptions_per_hour": 12,
    }
    footer = parquet.read_metadata(run.path).metadata
    assert json.loads(footer[b"wattshift.summary"]) == run.figures
    assert schema.names == [column.name for column in COLUMNS]
    assert schema.field("price_usd_per_mwh").metadata == {
        b"unit": b"USD/MWh",
        b"meaning": b"final price: what energy was paid at",
    }
    assert about["units"]["energy_kwh"] == "kWh"


def test_every_column_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text(encoding="utf-8")
    section = text.split("## Records")[1].split("\n## ")[0]
    assert [column.name for column in COLUMNS if f"`{column.name}`" not in section] == []


def test_rows_are_written_in_groups_of_bounded_size(
    tmp_path: Path, site: Site, market: MarketSeries, run: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.backtest.records.parquet.ROWS_PER_GROUP", 500)
    write(tmp_path / "groups.parquet", site, market, run, "always-on", "plan")
    file = parquet.ParquetFile(tmp_path / "groups.parquet")
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert len(sizes) > 10
    assert max(sizes) <= 500
    assert decoded(file.read()).equals(decoded(parquet.read_table(run.path)))


def test_a_batch_larger_than_a_group_is_split(
    tmp_path: Path, site: Site, market: MarketSeries, run: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.backtest.records.parquet.ROWS_PER_GROUP", 500)
    whole = joined(run.batches["plan"])
    with RecordsWriter(
        tmp_path / "run.parquet", site, market, made_up_jobs(site, market), seed=1, versions={}
    ) as writer:
        writer.write("plan", whole, levels=LEVELS)
    file = parquet.ParquetFile(tmp_path / "run.parquet")
    assert file.metadata.row_group(0).num_rows == 500
    assert file.metadata.num_rows == len(whole)


def test_strategies_that_ran_beside_each_other_join_to_the_same_file(
    tmp_path: Path, site: Site, market: MarketSeries, run: Written
) -> None:
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for part, name in zip(parts, run.batches, strict=True):
        write(part, site, market, run, name)
    join_records(parts, tmp_path / "joined.parquet", run.figures)
    whole, joint = parquet.read_table(run.path), parquet.read_table(tmp_path / "joined.parquet")
    assert joint.equals(whole)
    assert joint.schema.equals(whole.schema, check_metadata=True)


def test_an_interrupted_run_leaves_no_file(tmp_path: Path, site: Site, market: MarketSeries, run: Written) -> None:
    def interrupted() -> None:
        with RecordsWriter(
            tmp_path / "run.parquet", site, market, made_up_jobs(site, market), seed=1, versions={}
        ) as writer:
            writer.write("plan", run.batches["plan"][0], levels=LEVELS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_absent_is_said_at_once(tmp_path: Path, site: Site, market: MarketSeries) -> None:
    with pytest.raises(RecordsError, match=r"no-such/run\.parquet: cannot be written: .*No such file"):
        RecordsWriter(
            tmp_path / "no-such" / "run.parquet", site, market, made_up_jobs(site, market), seed=1, versions={}
        )


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, site: Site, market: MarketSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordsError, match=r'pip install "wattshift\[records\]"'):
        RecordsWriter(tmp_path / "run.parquet", site, market, made_up_jobs(site, market), seed=1, versions={})


def test_columns_of_unlike_length_are_refused(run: Written) -> None:
    with pytest.raises(ValueError, match="it_kw has shape"):
        replace(run.batches["plan"][0], it_kw=np.zeros(1))
