"""Settled intervals as a Parquet file, written piece by piece: a year of many jobs needs no more memory than a day.

pyarrow is an extra (`pip install "wattshift[records]"`) and is imported when a writer is made.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.records.batch import RowBatch, joined
from orchestrator.backtest.records.columns import RecordsPeriod, columns_of
from orchestrator.backtest.records.schema import COLUMNS, FORMAT, Column
from orchestrator.backtest.result import MarketSeries
from orchestrator.domain.site.site import Site

ROWS_PER_GROUP = 100_000
"""Rows held in memory at most, and in one row group: some 20 MB."""


class RecordsError(Exception):
    """Records can't be written; the text says why and what to do."""


class RecordsWriter:
    """Writes the rows of any number of strategies, one after the other, to one file.

    The file appears under its name when it is complete; one left by an exception is removed. Use it in `with`:

        with RecordsWriter(path, site, market, workload, seed=1, versions={"wattshift": "0.4"}) as records:
            records.write("plan", batch, levels=level_names)
            records.describe(summary.document(result))
    """

    def __init__(
        self,
        path: Path,
        site: Site,
        market: MarketSeries,
        workload: SubmittedJobs,
        *,
        seed: int,
        versions: Mapping[str, str],
    ) -> None:
        """RecordsError where pyarrow is missing or the file can't be made."""
        self._period = RecordsPeriod(site, market, workload)
        self._held: list[RowBatch] = []
        self._held_rows = 0
        self._names: tuple[str, Sequence[str]] = ("", ())
        self._file = _PartFile(path, _schema(_header(site, market, seed, versions)))

    def write(self, strategy: str, batch: RowBatch, *, levels: Sequence[str]) -> None:
        """Take rows of `strategy`. The list of names may grow between calls, but must stay the same list."""
        same = self._names[0] == strategy and self._names[1] is levels
        if not same:
            self._flush()
            self._names = (strategy, levels)
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
            self._file.write(columns_of(self._period, rows.at(slice(first, first + ROWS_PER_GROUP)), *self._names))


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
        **{charge.name: asdict(charge) for charge in site.grid.charges},
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
