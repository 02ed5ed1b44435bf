"""The program that stands for the site's meters, and the document that tells it which they are."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.adapters.workloads.processes.devices import Device, rows, target_name
from orchestrator.domain.metering.points import GRID_METER, MeteringPoint, ModbusPoint, SeriesPoint
from orchestrator.domain.observation import POSSIBLE_SHARE
from orchestrator.domain.site.site import Site

PROGRAM = "orchestrator.sim.meters.site_meters"
DOCUMENT = "meters.json"
"""In the run directory; docs/mock-site.md says what it holds."""
_ANY_PORT = 0
_MOST_UNITS = 247

PueByTime = Sequence[tuple[datetime, float]]
"""Ascending; linear between the points, flat beyond them."""


def simulated_meters(site: Site) -> Mapping[str, MeteringPoint]:
    """Those that come with the mock devices: by their series, or by Modbus from this machine."""
    return {name: point for name, point in site.meters().items() if isinstance(point, SeriesPoint) or _is_here(point)}


def meters_program(site: Site, run_dir: Path) -> Iterator[Device]:
    """One for all meters; none where the site has none that is simulated."""
    if simulated_meters(site):
        yield Device(
            process="meters",
            arguments=("-m", PROGRAM, "--run", str(run_dir)),
            ready=(run_dir / "targets" / "meters.json", run_dir / "endpoints" / "meters"),
        )


def meters_document(site: Site, seed: int, nodes_per_exporter: int, pue: PueByTime) -> dict[str, object]:
    """What the program needs to know."""
    points, highest_pue = simulated_meters(site), max(value for _, value in site.cooling.pue_by_temperature_c)
    behind: dict[str, list[str]] = {feeder.name: [] for feeder in site.feeders}
    full_kw = dict.fromkeys(behind, 0.0)
    for fleet, rack in site.racks():
        behind[fleet.feeder].append(target_name(rack))
        full_kw[fleet.feeder] += fleet.rack_nameplate_kw
    for pool in site.pools:
        behind[pool.feeder] += [target_name(names[0]) for names in rows(pool, nodes_per_exporter)]
        full_kw[pool.feeder] += pool.nameplate_kw
    behind[GRID_METER] = [device for devices in behind.values() for device in devices]
    full_kw[GRID_METER] = sum(full_kw.values())
    return {
        "seed": seed,
        "pue": [[at.timestamp(), value] for at, value in pue],
        "meters": {
            name: {
                "label": point.meter if isinstance(point, SeriesPoint) else name,
                "devices": behind[name],
                "full_w": full_kw[name] * 1000.0 * highest_pue * POSSIBLE_SHARE,
            }
            for name, point in points.items()
        },
        "modbus": _ports(points),
    }


def _ports(points: Mapping[str, MeteringPoint]) -> dict[str, dict[str, str]]:
    """Every meter by port and unit id: those asked by Modbus where the site file says, the others at any free port."""
    ports: dict[str, dict[str, str]] = {}
    for name, point in points.items():
        if isinstance(point, ModbusPoint):
            ports.setdefault(str(point.port), {})[str(point.unit)] = name
    others = [name for name, point in points.items() if isinstance(point, SeriesPoint)][:_MOST_UNITS]
    if others:
        ports[str(_ANY_PORT)] = {str(unit): name for unit, name in enumerate(others, start=1)}
    return ports


def _is_here(point: MeteringPoint) -> bool:
    if not isinstance(point, ModbusPoint):
        return False
    try:
        return ipaddress.ip_address(point.host).is_loopback
    except ValueError:
        return point.host == "localhost"
