"""The columns of the records: name, type and unit, as docs/backtest.md lists them. Types are named, so that pyarrow is
needed only where records are written."""

from dataclasses import dataclass

FORMAT = 2
"""Raised when a column changes its meaning."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: str
    """`name` (a string from few), `time`, `number` or `count`."""
    unit: str
    meaning: str
    nullable: bool = False


COLUMNS = (
    Column("strategy", "name", "", "as asked for"),
    Column("start", "time", "UTC", "of the settled interval"),
    Column("end", "time", "UTC", "of the settled interval"),
    Column("kind", "name", "", "fleet, pool, job, or the name of a charge, as ppa: the power block"),
    Column("subject", "name", "", "name of the fleet, pool or job; site for a charge"),
    Column("tenant", "name", "", "of the job", nullable=True),
    Column("level", "name", "", "racks by mode of a fleet at the end of the interval", nullable=True),
    Column("gpus", "number", "GPUs", "mean held by the job or busy in the pool", nullable=True),
    Column("price_usd_per_mwh", "number", "USD/MWh", "final price: what energy was paid at"),
    Column("decided_usd_per_mwh", "number", "USD/MWh", "price as first published: what was decided on"),
    Column("pue", "number", "1", "grid power over IT power"),
    Column("hashprice_usd_per_ph_day", "number", "USD per PH/s per day", "what a PH/s kept up for a day earns"),
    Column("it_kw", "number", "kW", "mean IT load"),
    Column("grid_kw", "number", "kW", "mean at the grid: it_kw x pue"),
    Column("energy_kwh", "number", "kWh", "at the grid"),
    Column("hash_ph_days", "number", "PH/s-days", "hash of the fleet", nullable=True),
    Column("gpu_hours", "number", "GPU-hours", "billed to the job", nullable=True),
    Column("revenue_usd", "number", "USD", "hash_ph_days x hashprice, or gpu_hours x the tenant's price"),
    Column("cost_usd", "number", "USD", "of energy: energy_kwh x price / 1000; of a charge what it cost more"),
    Column("credit_usd", "number", "USD", "SLA credit to the job's tenant"),
    Column("starts", "count", "1", "racks woken, or starts of the job"),
    Column("interruptions", "count", "1", "times the job was stopped before it was done"),
    Column("outcome", "name", "", "on_time, late, withdrawn, failed or open, where the job was settled", nullable=True),
    Column("pool", "name", "", "that the job asks GPUs of", nullable=True),
    Column("submitted", "time", "UTC", "when the job was handed in", nullable=True),
    Column("due", "time", "UTC", "deadline of the job; null where it has none", nullable=True),
    Column("asked_gpus", "number", "GPUs", "that the job asks for", nullable=True),
    Column("asked_gpu_hours", "number", "GPU-hours", "work of the job at full power, restarts apart", nullable=True),
)
