"""The columns of a site that is followed from snapshot to snapshot: only what changed since the last is read anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress
from operator import is_not

import numpy as np

from orchestrator.accounting.economics import ModeStep
from orchestrator.dispatch.inputs import pool_columns
from orchestrator.dispatch.kernels.rows import PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Places
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.domain.target import Target
from orchestrator.forecast.outlook import PlanValues, Switch
from orchestrator.observe.columns import (
    Flags,
    FleetColumns,
    Floats,
    Ints,
    JobColumns,
    columns_of,
    columns_of_fleets,
    hull,
    job_row,
)

_COLUMN = {field.name: number for number, field in enumerate(fields(JobColumns))}
_UNKNOWN = Switch(np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class JobRows:
    """Open jobs with their columns, in the order of the snapshot."""

    names: Sequence[str]
    targets: Sequence[Target]
    statuses: Sequence[JobStatus]
    figures: Floats
    """(jobs, fields of `JobColumns`)."""
    columns: JobColumns
    by_age: Ints
    """Rows, the oldest first, of equals by name."""
    by_name: Ints


@dataclass(frozen=True, slots=True)
class FleetRows:
    """Fleets with their columns, in the order of the snapshot."""

    names: Sequence[str]
    targets: Sequence[Target]
    statuses: Sequence[FleetStatus]
    steps: Sequence[tuple[ModeStep, ...]]
    columns: FleetColumns
    by_name: Ints
    plain: Flags
    """All racks follow, in modes on the hull of their fleet's: `at_step` says everything of them."""
    unmoved: Ints
    """Racks that no choice moves."""


class LiveColumns:
    """The site as it was last seen, in columns. A memory only: what it gives depends on the snapshot alone.

    It belongs to one loop and is not to be shared between threads; the columns it gives never change and may be.
    """

    def __init__(self) -> None:
        self._site: Site | None = None
        self._pools: PoolColumns | None = None
        self._jobs: JobRows | None = None
        self._fleets: FleetRows | None = None
        self._switches: tuple[PlanValues, Sequence[str], Sequence[str], Switches] | None = None

    def of(self, site: Site, snapshot: Snapshot) -> tuple[FleetRows, JobRows, PoolColumns]:
        if self._site is not site or self._pools is None:
            self._site, self._pools, self._jobs, self._fleets = site, pool_columns(site), None, None
        self._jobs = job_rows(site, snapshot.jobs, self._jobs)
        self._fleets = fleet_rows(site, snapshot.fleets, self._fleets)
        return self._fleets, self._jobs, self._pools

    def switches(self, values: PlanValues, fleets: FleetRows, jobs: JobRows) -> Switches:
        """The plan's prices by row."""
        kept = self._switches
        if kept is None or kept[0] is not values or kept[1] is not fleets.names or kept[2] is not jobs.names:
            kept = (values, fleets.names, jobs.names, switch_columns(values, fleets.names, jobs.names))
            self._switches = kept
        return kept[3]


def places(fleets: FleetRows, jobs: JobRows) -> Places:
    return Places(fleets.by_name, jobs.by_age, jobs.by_name)


def switch_columns(values: PlanValues, fleets: Sequence[str], jobs: Sequence[str]) -> Switches:
    """The plan's prices in the order of these names; NaN where it has none."""
    of_fleets = [values.fleets.get(name, _UNKNOWN) for name in fleets]
    of_jobs = [values.jobs.get(name, _UNKNOWN) for name in jobs]
    return Switches(
        np.array([switch.stay_usd_per_mwh for switch in of_fleets], dtype=np.float64),
        np.array([switch.wake_usd_per_mwh for switch in of_fleets], dtype=np.float64),
        np.array([switch.stay_usd_per_mwh for switch in of_jobs], dtype=np.float64),
        np.array([switch.wake_usd_per_mwh for switch in of_jobs], dtype=np.float64),
    )


def job_rows(site: Site, jobs: Mapping[str, JobStatus], before: JobRows | None = None) -> JobRows:
    """The rows of `jobs`; those of statuses that are the same objects as `before` are taken from there."""
    names, statuses = list(jobs), list(jobs.values())
    pools = {pool.name: row for row, pool in enumerate(site.pools)}
    tenants = {tenant.name: row for row, tenant in enumerate(site.tenants)}
    if before is not None and names == before.names:
        names_kept, figures = before.names, before.figures
        new = list(compress(range(len(statuses)), map(is_not, statuses, before.statuses)))
        if not new:
            return replace(before, statuses=statuses)
        figures = figures.copy()
    else:
        names_kept, figures = names, np.empty((len(names), len(_COLUMN)))
        new = _take_over(names, statuses, before, figures)
    if before is not None and names_kept is before.names:
        new = _take_progress(statuses, before.statuses, figures, new)
    if new:
        figures[new] = [
            job_row(statuses[row], pools[statuses[row].job.pool], tenants[statuses[row].tenant.name]) for row in new
        ]
    submitted = _COLUMN["submitted_at"]
    if before is not None and names_kept is before.names:
        by_name = before.by_name
        if np.array_equal(figures[:, submitted], before.figures[:, submitted]):
            return replace(before, statuses=statuses, figures=figures, columns=columns_of(figures))
        targets = before.targets
    else:
        known = dict(zip(before.names, before.targets, strict=True)) if before is not None else {}
        targets = [known.get(name) or Target.job(name) for name in names]
        by_name = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    by_age = by_name[np.argsort(figures[by_name, submitted], kind="stable")]
    return JobRows(names_kept, targets, statuses, figures, columns_of(figures), by_age, by_name)


def _take_progress(
    statuses: Sequence[JobStatus], before: Sequence[JobStatus], figures: Floats, new: Sequence[int]
) -> list[int]:
    """Bring up to date those of the `new` rows whose job has only worked on; returns the others."""
    worked, others = list[int](), list[int]()
    for row in new:
        status, was = statuses[row], before[row]
        same = status.view is was.view and status.last_interrupted_at == was.last_interrupted_at
        (worked if same else others).append(row)
    done_s = np.array([statuses[row].done_gpu_seconds for row in worked])
    figures[worked, _COLUMN["left_s"]] = np.maximum(figures[worked, _COLUMN["work_s"]] - done_s, 0.0)
    return others


def _take_over(
    names: Sequence[str], statuses: Sequence[JobStatus], before: JobRows | None, figures: Floats
) -> list[int]:
    """Copy the rows that were there before to where they are now; returns the rows that were not."""
    if before is None:
        return list(range(len(names)))
    rows_before = dict(zip(before.names, range(len(before.names)), strict=True))
    new, kept, came_from = list[int](), list[int](), list[int]()
    for row, (name, status) in enumerate(zip(names, statuses, strict=True)):
        was = rows_before.get(name)
        if was is None or before.statuses[was] is not status:
            new.append(row)
        else:
            kept.append(row)
            came_from.append(was)
    figures[kept] = before.figures[came_from]
    return new


def fleet_rows(site: Site, fleets: Mapping[str, FleetStatus], before: FleetRows | None = None) -> FleetRows:
    """The rows of `fleets`; what depends on setpoints alone is taken from `before` where these are the same objects."""
    names, statuses = list(fleets), list(fleets.values())
    if before is None or names != before.names:
        return _all_fleet_rows(site, names, statuses, [hull(status.fleet) for status in statuses])
    new = [
        row
        for row, (status, was) in enumerate(zip(statuses, before.statuses, strict=True))
        if status.view is not was.view
        or status.unmoved != was.unmoved
        or (status.dark_since is None) != (was.dark_since is None)
    ]
    if any(statuses[row].fleet is not before.statuses[row].fleet for row in range(len(statuses))):
        return _all_fleet_rows(site, names, statuses, [hull(status.fleet) for status in statuses])
    columns = replace(before.columns, draw_share=np.array([status.draw_share for status in statuses]))
    if not new:
        return replace(before, statuses=statuses, columns=columns)
    some = _all_fleet_rows(
        site, [names[row] for row in new], [statuses[row] for row in new], [before.steps[row] for row in new]
    )
    steps_then = before.columns.rise_kw.shape[1]
    changed = {}
    for field in fields(FleetColumns):
        column = getattr(columns, field.name).copy()
        values = getattr(some.columns, field.name)
        if values.ndim > 1:
            column[new, : values.shape[1]] = values
            assert column.shape[1] == steps_then, "the hull is that of before"
        else:
            column[new] = values
        changed[field.name] = column
    plain, unmoved = before.plain.copy(), before.unmoved.copy()
    plain[new], unmoved[new] = some.plain, some.unmoved
    return replace(before, statuses=statuses, columns=FleetColumns(**changed), plain=plain, unmoved=unmoved)


def _all_fleet_rows(
    site: Site, names: Sequence[str], statuses: Sequence[FleetStatus], steps: Sequence[tuple[ModeStep, ...]]
) -> FleetRows:
    return FleetRows(
        names=names,
        targets=[Target.fleet(name) for name in names],
        statuses=statuses,
        steps=steps,
        columns=columns_of_fleets(site, statuses, steps),
        by_name=np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64),
        plain=np.array(
            [_plain(status, of_fleet) for status, of_fleet in zip(statuses, steps, strict=True)],
            dtype=np.bool_,
        ),
        unmoved=np.array([len(status.unmoved) for status in statuses], dtype=np.int64),
    )


def _plain(status: FleetStatus, steps: tuple[ModeStep, ...]) -> bool:
    if status.unmoved or status.fleet.racks != len(status.view.rack_modes):
        return False
    return status.view.racks.keys() <= {SLEEP, *(step.to_mode for step in steps)}
