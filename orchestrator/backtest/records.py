"""Settled intervals as a Parquet file, written piece by piece: a year of many jobs needs no more memory than a day.

pyarrow is an extra (`pip install "wattshift[records]"`) and is imported when a writer is made.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from orchestrator.backtest.batch import NONE, Kind, Outcome, RowBatch, joined
from orchestrator.backtest.records_schema import COLUMNS, FORMAT, Column
from orchestrator.backtest.result import Floats, Ints, MarketSeries
from orchestrator.domain.site import Site

ROWS_PER_GROUP = 100_000
"""Rows held in memory at most, and in one row group: some 20 MB."""

KINDS = tuple(kind.name.lower() for kind in Kind)
OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome)


class RecordsError(Exception):
    """Records can't be written; the text says why and what to do."""


class RecordsWriter:
    """Writes the rows of any number of strategies, one after the other, to one file.

    The file appears under its name when it is complete; one left by an exception is removed. Use it in `with`:

        with RecordsWriter(path, site, market, seed=1, versions={"wattshift": "0.4"}) as records:
            records.write("plan", batch, jobs=job_names, levels=level_names)
            records.describe(summary.document(result))
    """

    def __init__(self, path: Path, site: Site, market: MarketSeries, *, seed: int, versions: Mapping[str, str]) -> None:
        """RecordsError where pyarrow is missing or the file can't be made."""
        self._site = site
        self._market = market
        self._held: list[RowBatch] = []
        self._held_rows = 0
        self._names: tuple[str, Sequence[str], Sequence[str]] = ("", (), ())
        self._file = _PartFile(path, _schema(_header(site, market, seed, versions)))

    def write(self, strategy: str, batch: RowBatch, *, jobs: Sequence[str], levels: Sequence[str]) -> None:
        """Take rows of `strategy`. The lists of names may grow between calls, but must stay the same lists."""
        same = self._names[0] == strategy and self._names[1] is jobs and self._names[2] is levels
        if not same:
            self._flush()
            self._names = (strategy, jobs, levels)
        self._held.append(batch)
        self._held_rows += len(batch)
        if self._held_rows >= ROWS_PER_GROUP:
            self._flush()

    def describe(self, document: Mapping[str, Any]) -> None:
        """Put the run's JSON document into the file, under the metadata key `wattshift.summary`."""
        self._file.describe("wattshift.summary", document)

    def close(self) -> None:
        """Write what is held and give the file its name."""
        self._flush()
        self._file.close()

    def discard(self) -> None:
        """Leave no file."""
        self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def _flush(self) -> None:
        if not self._held_rows:
            self._held = []
            return
        rows = joined(self._held)
        self._held, self._held_rows = [], 0
        for first in range(0, len(rows), ROWS_PER_GROUP):
            columns = _columns(self._site, self._market, rows.at(slice(first, first + ROWS_PER_GROUP)), self._names)
            self._file.write(columns)


def join_records(parts: Sequence[Path], path: Path, document: Mapping[str, Any]) -> None:
    """Files of strategies that ran beside each other as one, one row group at a time; the parts stay as they are.

    The site, market and versions of the first part are taken to be those of all. RecordsError as for the writer.
    """
    parquet = _parquet()

    whole: _PartFile | None = None
    try:
        for part in parts:
            with parquet.ParquetFile(part) as source:
                if whole is None:
                    whole = _PartFile(path, source.schema_arrow.remove_metadata().with_metadata(_kept(source)))
                for group in range(source.num_row_groups):
                    whole.write_table(source.read_row_group(group))
        if whole is None:
            raise RecordsError(f"{path}: no parts to join")
        whole.describe("wattshift.summary", document)
        whole.close()
    except BaseException:
        if whole is not None:
            whole.discard()
        raise


def _kept(source: Any) -> dict[bytes, bytes]:
    return {b"wattshift": source.schema_arrow.metadata[b"wattshift"]}


class _PartFile:
    """A Parquet file under a name of its own until it is complete."""

    def __init__(self, path: Path, schema: Any) -> None:
        parquet = _parquet()

        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._schema = schema
        try:
            self._writer = parquet.ParquetWriter(self._part, schema, compression="zstd", use_dictionary=True)
        except OSError as error:
            raise RecordsError(f"{path}: cannot be written: {error}") from error

    def write(self, columns: Mapping[str, Any]) -> None:
        pyarrow = _pyarrow()

        arrays = [columns[field.name].cast(field.type) for field in self._schema]
        self.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))

    def write_table(self, table: Any) -> None:
        try:
            self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        except OSError as error:
            raise RecordsError(f"{self._path}: cannot be written: {error}") from error

    def describe(self, key: str, document: Mapping[str, Any]) -> None:
        self._writer.add_key_value_metadata({key: json.dumps(document, allow_nan=False)})

    def close(self) -> None:
        self._writer.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        self._writer.close()
        self._part.unlink(missing_ok=True)


def _columns(
    site: Site, market: MarketSeries, rows: RowBatch, names: tuple[str, Sequence[str], Sequence[str]]
) -> dict[str, Any]:
    pyarrow = _pyarrow()
    strategy, jobs, levels = names
    at = rows.interval
    start_ms = market.start_s[at] * 1000
    grid_kw = rows.it_kw * market.pue[at]
    subjects, numbers = _subjects(site, rows, jobs)

    def number(values: Floats) -> Any:
        return pyarrow.array(values, from_pandas=True)  # NaN is null

    def time(values: Ints) -> Any:
        return pyarrow.array(values).cast(pyarrow.timestamp("ms", tz="UTC"))

    return {
        "strategy": _named(np.zeros(len(rows), dtype=np.int64), (strategy,).__getitem__),
        "start": time(start_ms),
        "end": time(start_ms + int(market.step.total_seconds() * 1000)),
        "kind": _named(rows.kind, KINDS.__getitem__),
        "subject": _named(numbers, subjects),
        "tenant": _named(rows.tenant, lambda row: site.tenants[row].name),
        "level": _named(rows.level, levels.__getitem__),
        "gpus": number(rows.gpus),
        "price_usd_per_mwh": number(market.settled_usd_per_mwh[at]),
        "decided_usd_per_mwh": number(market.decided_usd_per_mwh[at]),
        "pue": number(market.pue[at]),
        "hashprice_usd_per_ph_day": number(market.hashprice_usd_per_ph_day[at]),
        "it_kw": number(rows.it_kw),
        "grid_kw": number(grid_kw),
        "energy_kwh": number(grid_kw * market.step_h),
        "hash_ph_days": number(rows.hash_ph_days),
        "gpu_hours": number(rows.gpu_hours),
        "revenue_usd": number(rows.revenue_usd),
        "cost_usd": number(rows.cost_usd),
        "credit_usd": number(rows.credit_usd),
        "starts": pyarrow.array(rows.starts),
        "interruptions": pyarrow.array(rows.interruptions),
        "outcome": _named(rows.outcome, OUTCOMES.__getitem__),
    }


def _subjects(site: Site, rows: RowBatch, jobs: Sequence[str]) -> tuple[Callable[[int], str], Ints]:
    """Fleets, pools, the site and jobs numbered in one row after the other, and the name of each number."""
    fixed = [fleet.name for fleet in site.fleets] + [pool.name for pool in site.pools] + ["site"]
    offset = np.array([0, len(site.fleets), len(fixed), len(fixed) - 1])[rows.kind]
    return lambda number: fixed[number] if number < len(fixed) else jobs[number - len(fixed)], rows.subject + offset


def _named(numbers: Ints, name: Callable[[int], str]) -> Any:
    """A dictionary array with only the names that occur; NONE is null."""
    pyarrow = _pyarrow()

    used, places = np.unique(numbers, return_inverse=True)
    absent = used == NONE
    indices = pyarrow.array((places - absent.sum()).astype(np.int32), mask=absent[places])
    return pyarrow.DictionaryArray.from_arrays(
        indices, pyarrow.array([name(int(number)) for number in used[~absent]], type=pyarrow.string())
    )


def _schema(header: Mapping[str, Any]) -> Any:
    pyarrow = _pyarrow()
    types = {
        "name": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "time": pyarrow.timestamp("ms", tz="UTC"),
        "number": pyarrow.float64(),
        "count": pyarrow.int32(),
    }

    def of(column: Column) -> Any:
        about = {"unit": column.unit, "meaning": column.meaning}
        return pyarrow.field(column.name, types[column.kind], nullable=column.nullable, metadata=about)

    return pyarrow.schema([of(column) for column in COLUMNS], metadata={"wattshift": json.dumps(header)})


def _header(site: Site, market: MarketSeries, seed: int, versions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "site": site.name,
        "timezone": site.timezone,
        "grid_limit_kw": site.grid.limit_kw,
        "ppa": asdict(site.grid.ppa) if site.grid.ppa is not None else None,
        "step_s": market.step.total_seconds(),
        "seed": seed,
        "versions": dict(versions),
        "tenants": {
            tenant.name: {
                "sla": tenant.sla.value,
                "usd_per_gpu_h": tenant.usd_per_gpu_h,
                "credit_share": tenant.credit_share,
                "interruptions_per_hour": tenant.interruptions_per_hour,
            }
            for tenant in site.tenants
        },
        "units": {column.name: column.unit for column in COLUMNS if column.unit},
    }


def _pyarrow() -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise RecordsError('records need pyarrow: pip install "wattshift[records]"') from error
    return pyarrow


def _parquet() -> Any:
    _pyarrow()
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    return parquet
