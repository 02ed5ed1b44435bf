"""`wattshift check --telemetry`: every device with what is there, and the line to change."""

import asyncio
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.clock import wall_clock
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.runtime.check.telemetry import check_telemetry, findings_of
from tests.command import ended_here
from tests.prometheus_server import prometheus_server
from tests.telemetry.conftest import Scenes, Shown, SmallSite, documented, prometheus_config

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def page(name: str, *changes: tuple[str, str]) -> Callable[[], str]:
    text = documented(name)
    for old, new in changes:
        text = text.replace(old, new)
    return lambda: text


RACKS = [
    Shown(page("pyasic", ("10.3.0.", f"10.3.{rack}."), *([("10.3.1.20", "10.9.9.9")] if rack == 1 else [])))
    for rack in range(3)
]
WHOLE = [
    *(Shown(page("pyasic", ("10.3.0.", f"10.3.{rack}."))) for rack in range(3)),
    *(Shown(page("dcgm", ("h100-node-0", f"h100-node-{node}"))) for node in range(2)),
]
MAPPED = r"""
match: {{site: {0}}}
presets: [dcgm, pyasic-exporter]
labels:
  fleet: {{name: s21}}
  rack: {{label: ip, pattern: '10\.3\.(\d+)\.\d+', name: 'rack-\1'}}
"""
UNMAPPED = "match: {site: kepler}\n"
SCENES = {
    "whole": (WHOLE, True),
    "broken": ([*RACKS, Shown(page("dcgm")), Shown(page("kepler-two-controls", ("h100-node-0", "h100-node-1")))], True),
    "kepler": ([Shown(page("kepler"))], True),
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    with Scenes(tmp_path_factory.mktemp("scenes"), SCENES) as made:
        yield made


@pytest.fixture(scope="module")
def prometheus_url(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_server(tmp_path_factory.mktemp("prometheus"), prometheus_config(scenes.folder)) as server:
        yield server.url


Checked = Callable[..., tuple[int, str]]


@pytest.fixture(params=["scrape", "prometheus"])
def checked(request: pytest.FixtureRequest, scenes: Scenes, small_site: SmallSite) -> Checked:
    url = request.getfixturevalue("prometheus_url") if request.param == "prometheus" else None

    def check(name: str, telemetry: str, for_s: float) -> tuple[int, str]:
        out = io.StringIO()
        settings = small_site(telemetry, url)
        code = asyncio.run(
            check_telemetry(settings, scenes.targets(name), Console(file=out, width=250), wall_clock(), for_s)
        )
        return code, out.getvalue()

    return check


def test_all_that_is_there_is_said_to_be(checked: Checked) -> None:
    code, said = checked("whole", MAPPED.format("whole"), 60.0)
    assert code == 0, said
    assert re.search(r"s21/rack-0 to 2: rack_power found: asic_miner_status_power, 3.432e\+04 W \(line", said)
    assert re.search(r"h100-node-0 to 1: node_power found: DCGM_FI_DEV_POWER_USAGE, 3723 W \(line \d+: telemetry", said)
    assert "not mapped: rack_energy, rack_hashes" in said
    assert "every device is there" in said


def test_what_is_missing_is_named_with_the_line_to_change(checked: Checked) -> None:
    telemetry = MAPPED.format("broken").replace("[dcgm,", "[dcgm, kepler,")
    code, said = checked("broken", telemetry, 8.0)
    assert code == 1
    assert re.search(r"h100-node-0: node_power missing: no kepler_platform_watts \(line \d+: telemetry.presets\)", said)
    assert re.search(r"h100-node-1: node_power suspect: 2 series of kepler_platform_watts for one device", said)
    assert re.search(r"h100-node-1: gpu_power missing: no DCGM_FI_DEV_POWER_USAGE", said)
    assert re.search(r"s21/rack-1: 9 of 10 answer; the others count at 3500 W \(line \d+: telemetry.presets\)", said)
    assert "every device is there" not in said


def test_what_the_source_has_instead_is_shown(checked: Checked) -> None:
    code, said = checked("kepler", UNMAPPED, 8.0)
    assert code == 1
    assert re.search(r"h100-node-0 to 1: node_power missing: no kepler_platform_watts", said)
    assert re.search(r"kepler_platform_watts \(kepler\): bmc_id=.*node_name='h100-node-[01]'", said)


def test_old_and_impossible_readings_are_told_apart(small_site: SmallSite) -> None:
    settings = small_site("")
    old = Reading(33_000.0, "W", datetime(2026, 5, 4, 11, 50, tzinfo=UTC), Quality.FRESH)
    absurd = Reading(1e9, "W", NOW, Quality.FRESH)
    telemetry = Telemetry(
        NOW, [Sample(Metric.ASIC_POWER, "s21/rack-0", old), Sample(Metric.ASIC_POWER, "s21/rack-1", absurd)]
    )
    found = {
        (finding.device, finding.metric): finding
        for finding in findings_of(settings.site, settings.series, telemetry, NOW)
    }
    assert found["s21/rack-0", Metric.ASIC_POWER].state == "old"
    assert "600 s old" in found["s21/rack-0", Metric.ASIC_POWER].text
    assert found["s21/rack-1", Metric.ASIC_POWER].state == "suspect"
    assert found["s21/rack-2", Metric.ASIC_POWER].state == "missing"


def test_an_error_in_the_file_is_printed_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("telemetry: {kind: scrape, presets: [dcmg]}\n")
    ended = ended_here("check", str(path), "--telemetry")
    assert ended.code == 2
    assert 'telemetry.presets[0]: found "dcmg"; allowed: one of wattshift-mock, dcgm' in ended.out


def test_a_folder_without_targets_says_that_all_is_missing(small_site: SmallSite, tmp_path: Path) -> None:
    out = io.StringIO()
    code = asyncio.run(check_telemetry(small_site(""), tmp_path, Console(file=out, width=250), wall_clock(), 0.0))
    assert code == 1
    assert re.search(r"s21/rack-0 to 2: rack_power missing", out.getvalue())
