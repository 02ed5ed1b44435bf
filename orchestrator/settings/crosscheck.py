"""What one key of the site file means for another: names that must exist, orders that must hold.

Each section is checked as far as it is sound by itself, so that one slip doesn't hide the next.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from orchestrator.domain.site.machines import SLEEP
from orchestrator.settings.crosscheck_series import check_series
from orchestrator.settings.document import Path
from orchestrator.settings.meters import check_meters
from orchestrator.settings.problems import NOTHING, Found, shown
from orchestrator.settings.sections.grid import FeederSection, GridSection
from orchestrator.settings.sections.quantities import Section
from orchestrator.settings.sections.site import (
    ControlsSection,
    CoolingSection,
    FleetSection,
    PoolSection,
)

_Section = TypeVar("_Section", bound=Section)


def cross_check(document: object, folder: FilePath, found: Found, *, prometheus_given: bool) -> None:
    """Adds to `found` what does not fit together; relative files are looked for in `folder`.

    `prometheus_given` says that the environment names a Prometheus server, which goes before `telemetry`.
    """
    if not isinstance(document, dict):
        return
    fleets, pools = _items(document, "fleets"), _items(document, "gpu_pools")
    feeders, tenants = _items(document, "feeders"), _items(document, "tenants")
    _unique(feeders, found)
    _unique({**fleets, **pools}, found)
    _unique(tenants, found)
    if not fleets and not pools:
        found.add((), "neither fleets nor gpu_pools", "at least one fleet or GPU pool")
    if pools and not tenants:
        found.add(("tenants",), NOTHING, "at least one tenant, since there are GPU pools")
    _feeders_exist({**fleets, **pools}, feeders, found)
    for path, fleet in _sound(FleetSection, fleets):
        _fleet(path, fleet, found)
    for path, pool in _sound(PoolSection, pools):
        _pool(path, pool, found)
    for _, cooling in _sound(CoolingSection, {("cooling",): document.get("cooling")}):
        _cooling(cooling, found)
    for _, controls in _sound(ControlsSection, {("controls",): document.get("controls")}):
        _controls(controls, found)
    check_meters(document, found)
    _floor(document, feeders, {**fleets, **pools}, found)
    _either(document, "hashprice", "usd_per_ph_day", found)
    _either(document, "weather", "temperature_c", found)
    _timezones(document, found)
    _cluster(document, prometheus_given, found)
    check_series(
        document.get("telemetry"),
        _names(fleets),
        _names(pools),
        found,
        promql=prometheus_given or _value(document.get("telemetry"), "kind") == "prometheus",
    )
    _files(document, folder, found)


def _items(document: Mapping[str, object], key: str) -> dict[Path, object]:
    items = document.get(key)
    return {(key, index): item for index, item in enumerate(items)} if isinstance(items, list) else {}


def _names(items: Mapping[Path, object]) -> frozenset[str]:
    return frozenset(str(name) for name in (_value(item, "name") for item in items.values()) if name is not None)


def _sound(model: type[_Section], items: Mapping[Path, object]) -> list[tuple[Path, _Section]]:
    """Those that are valid by themselves; the others are already reported."""
    valid = []
    for path, item in items.items():
        try:
            valid.append((path, model.model_validate(item)))
        except ValidationError:
            continue
    return valid


def _value(item: object, key: str) -> object:
    return item.get(key) if isinstance(item, dict) else None


def _unique(items: Mapping[Path, object], found: Found) -> None:
    first: dict[str, Path] = {}
    for path, item in items.items():
        name = _value(item, "name")
        if isinstance(name, str) and first.setdefault(name, path) != path:
            line = found.line((*first[name], "name"))
            found.add((*path, "name"), shown(name), f"each name once; the first is on line {line}")


def _feeders_exist(loads: Mapping[Path, object], feeders: Mapping[Path, object], found: Found) -> None:
    names = [str(name) for name in (_value(feeder, "name") for feeder in feeders.values()) if name is not None]
    for path, load in loads.items():
        feeder = _value(load, "feeder")
        if isinstance(feeder, str) and feeder not in names:
            found.add((*path, "feeder"), shown(feeder), f"the name of a feeder: {', '.join(names) or 'none yet'}")


def _fleet(path: Path, fleet: FleetSection, found: Found) -> None:
    names = [mode.name for mode in fleet.modes]
    if fleet.default_mode not in names:
        found.add((*path, "default_mode"), shown(fleet.default_mode), f"one of its modes: {', '.join(names)}")
    if fleet.sleep_w >= fleet.modes[0].power_w:
        found.add(
            (*path, "sleep_w"), shown(fleet.sleep_w), f"less than its first mode's power_w, {fleet.modes[0].power_w:g}"
        )
    for index, name in enumerate(names):
        at = (*path, "modes", index, "name")
        if name == SLEEP:
            found.add(at, shown(name), f"another name: {SLEEP} is the state that every fleet has")
        if name in names[:index]:
            found.add(at, shown(name), "each mode's name once")
    for index, (low, high) in enumerate(itertools.pairwise(fleet.modes), start=1):
        if high.power_w <= low.power_w:
            allowed = f"more than the mode before it, {low.power_w:g}: modes ascend in power"
            found.add((*path, "modes", index, "power_w"), shown(high.power_w), allowed)


def _pool(path: Path, pool: PoolSection, found: Found) -> None:
    if pool.gpu_min_power_w > pool.gpu_power_w:
        allowed = f"at most gpu_power_w, {pool.gpu_power_w:g}"
        found.add((*path, "gpu_min_power_w"), shown(pool.gpu_min_power_w), allowed)
    if pool.gpu_idle_w >= pool.gpu_min_power_w:
        allowed = f"less than gpu_min_power_w, {pool.gpu_min_power_w:g}"
        found.add((*path, "gpu_idle_w"), shown(pool.gpu_idle_w), allowed)


def _cooling(cooling: CoolingSection, found: Found) -> None:
    for index, (low, high) in enumerate(itertools.pairwise(cooling.pue_by_temperature), start=1):
        if high.temperature_c <= low.temperature_c:
            path = ("cooling", "pue_by_temperature", index, "temperature_c")
            found.add(path, shown(high.temperature_c), f"more than the point before it, {low.temperature_c:g}")


def _controls(controls: ControlsSection, found: Found) -> None:
    for key in ("verify_within_s", "verify_up_s", "verify_down_s"):
        within_s = getattr(controls, key)
        if within_s is not None and within_s < controls.tick_s:
            allowed = f"at least tick_s, {controls.tick_s:g}: it is looked at once a tick"
            found.add(("controls", key), shown(within_s), allowed)
    if controls.lease_s < 3 * controls.tick_s:
        allowed = f"at least 3 x tick_s, {3 * controls.tick_s:g}: it is renewed once a tick"
        found.add(("controls", "lease_s"), shown(controls.lease_s), allowed)


def _floor(
    document: Mapping[str, object], feeders: Mapping[Path, object], loads: Mapping[Path, object], found: Found
) -> None:
    """Feeders and grid must carry their loads asleep and idle in the greatest heat: no setpoint is lower."""
    cooling = _sound(CoolingSection, {("cooling",): document.get("cooling")})
    pue = max((point.pue for _, section in cooling for point in section.pue_by_temperature), default=1.0)
    floor_kw: defaultdict[str, float] = defaultdict(float)
    for _, fleet in _sound(FleetSection, loads):
        floor_kw[fleet.feeder] += fleet.racks * fleet.machines_per_rack * fleet.sleep_w / 1000 * pue
    for _, pool in _sound(PoolSection, loads):
        node_w = pool.node_overhead_w + pool.gpus_per_node * pool.gpu_idle_w
        floor_kw[pool.feeder] += pool.nodes * node_w / 1000 * pue
    for path, feeder in _sound(FeederSection, feeders):
        _carries((*path, "limit_kw"), feeder.limit_kw, floor_kw[feeder.name], pue, found)
    for _, grid in _sound(GridSection, {("grid",): document.get("grid")}):
        _carries(("grid", "limit_kw"), grid.limit_kw, sum(floor_kw.values()), pue, found)


def _carries(path: Path, limit_kw: float, floor_kw: float, pue: float, found: Found) -> None:
    if floor_kw > limit_kw:
        allowed = f"at least {floor_kw:,.1f} kW, what its loads draw asleep and idle at PUE {pue:g}"
        found.add(path, shown(limit_kw), allowed)


def _either(document: Mapping[str, object], section: str, constant: str, found: Found) -> None:
    value = document.get(section)
    if not isinstance(value, dict):
        return
    given = [key for key in (constant, "file") if value.get(key) is not None]
    if len(given) != 1:
        found.add((section,), " and ".join(given) or NOTHING, f"one of {constant} and file")


def _cluster(document: Mapping[str, object], prometheus_given: bool, found: Found) -> None:
    if document.get("kubernetes") is None:
        return
    if document.get("mock") is not None:
        found.add(("kubernetes",), "mock and kubernetes", "one of mock and kubernetes: where the workloads are")
    if _value(document.get("telemetry"), "kind") == "scrape" and not prometheus_given:
        allowed = "prometheus, since there is kubernetes: pods come and go, and a Prometheus server finds them"
        found.add(("telemetry", "kind"), shown("scrape"), allowed)


def _timezones(document: Mapping[str, object], found: Found) -> None:
    for path in (("timezone",), ("prices", "timezone"), ("weather", "timezone")):
        value = document.get(path[0]) if len(path) == 1 else _value(document.get(path[0]), path[1])
        if not isinstance(value, str):
            continue
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # no such zone, no name of one, a folder
            found.add(path, shown(value), "an IANA time zone, for example America/Chicago or UTC")


def _files(document: Mapping[str, object], folder: FilePath, found: Found) -> None:
    prices = document.get("prices")
    files = _value(prices, "files") if _value(prices, "kind") == "file" else None
    named: dict[Path, object] = {
        ("prices", "files", index): file for index, file in enumerate(files if isinstance(files, list) else ())
    }
    for section in ("hashprice", "weather"):
        named[section, "file"] = _value(document.get(section), "file")
    for path, file in named.items():
        if isinstance(file, str) and file and not _is_file(folder / file):
            found.add(path, shown(file), f"a file that is there; looked for {folder / file}")


def _is_file(path: FilePath) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a null character
        return False
