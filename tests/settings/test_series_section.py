"""`telemetry.presets`, `labels`, `names` and `series`: what they make of the mapping, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.observation import Metric
from orchestrator.domain.series.presets import MOCK_MAP, PRESETS
from orchestrator.domain.series.series import Combine, Label, Series, SeriesMap
from orchestrator.domain.units import HASHES_PER_TH
from orchestrator.settings import QUANTITIES, SettingsError, load_settings, settings_schema
from orchestrator.settings.series_units import UNITS

Edit = Callable[..., Path]


@pytest.fixture
def mapped(edited: Edit) -> Callable[..., SeriesMap]:
    """The mapping of the example site with these lines under `telemetry`."""

    def make(lines: str, kind: str = "scrape") -> SeriesMap:
        indented = "".join(f"  {line}\n" for line in lines.strip("\n").splitlines())
        return load_settings(edited(("telemetry:\n  kind: scrape\n", f"telemetry:\n  {kind}\n{indented}")), {}).series

    return lambda lines, kind="kind: scrape": make(lines, kind)


Mapped = Callable[..., SeriesMap]


def only(series: SeriesMap, metric: Metric) -> Series:
    (found,) = series.of(metric)
    return found


def test_without_keys_the_mock_names_hold(example_path: Path) -> None:
    settings = load_settings(example_path, {})
    plain = [(one.metric, one.name, one.subject, one.parts, one.combine, one.factor) for one in MOCK_MAP.series]
    found = [(one.metric, one.name, one.subject, one.parts, one.combine, one.factor) for one in settings.series.series]
    assert sorted(found) == sorted(plain)
    power = only(settings.series, Metric.ASIC_POWER)
    assert power.wholes is not None
    assert set(power.wholes) == {rack for _, rack in settings.site.racks()}
    assert settings.series.max_age == settings.site.stale.telemetry_max_age


def test_the_later_of_two_presets_counts_and_jobs_are_always_read(mapped: Mapped) -> None:
    series = mapped("presets: [dcgm, kepler]")
    assert only(series, Metric.NODE_POWER).name == "kepler_platform_watts"
    assert only(series, Metric.GPU_POWER).name == "DCGM_FI_DEV_POWER_USAGE"
    assert only(series, Metric.JOB_PROGRESS).name == "hpc_job_progress_gpu_seconds"
    assert series.of(Metric.ASIC_POWER) == ()


def test_an_entry_changes_what_it_names_and_keeps_the_rest_of_the_preset(mapped: Mapped) -> None:
    series = mapped("series: [{quantity: rack_power, part: [machine]}]")
    power = only(series, Metric.ASIC_POWER)
    assert (power.name, power.seen) == ("asic_power_watts", "asic_last_seen_timestamp_seconds")
    assert (power.combine, power.parts) == (Combine.SUM, ("machine",))
    assert re.fullmatch(r"line \d+: telemetry\.series\[0\]", power.where)
    whole = power.whole("s21/rack-0")
    assert whole.parts is not None
    assert whole.silent is not None


def test_an_entry_for_one_fleet_leaves_the_others_as_the_preset_has_them(example_path: Path, mapped: Mapped) -> None:
    fleets = [fleet.name for fleet in load_settings(example_path, {}).site.fleets]
    series = mapped(f"series: [{{quantity: rack_power, only: [{fleets[0]}], metric: other_watts}}]").of(
        Metric.ASIC_POWER
    )
    by_name = {one.name: {name.split("/")[0] for name in one.wholes or ()} for one in series}
    assert by_name == {"other_watts": {fleets[0]}, "asic_power_watts": set(fleets[1:])}


def test_labels_names_match_unit_and_scale(mapped: Mapped) -> None:
    series = mapped(
        r"""
match: {site: texas}
names: {gpu-a-017: h100-node-3}
labels:
  fleet: {name: s21}
  rack: {label: ip, pattern: '10\.3\.(\d+)\.\d+', name: 'rack-\1'}
series:
  - {quantity: rack_hashrate, metric: hash_ths, unit: TH/s, scale: 2, match: {state: mining}}
  - {quantity: node_power, metric: outlet_kw, unit: kW, labels: {node: {label: host}}}
"""
    )
    hashrate, node = only(series, Metric.ASIC_HASHRATE), only(series, Metric.NODE_POWER)
    assert hashrate.factor == 2 * HASHES_PER_TH
    assert hashrate.match == (("site", "texas"), ("state", "mining"))
    assert hashrate.subject_of({"ip": "10.3.7.20"}) == "s21/rack-7"
    assert hashrate.subject_of({"ip": "10.4.7.20"}) is None
    assert (node.factor, node.subject) == (1000.0, (Label("host"),))
    assert node.subject_of({"host": "gpu-a-017"}) == "h100-node-3"
    assert node.seen is None  # another exporter's: nothing of the preset holds


def test_the_environments_server_is_read_by_the_same_mapping(edited: Edit) -> None:
    path = edited(("  kind: scrape\n", "  kind: scrape\n  presets: [kepler]\n"))
    settings = load_settings(path, {"WATTSHIFT_PROMETHEUS_URL": "http://prometheus:9090"})
    assert only(settings.series, Metric.NODE_POWER).subject == (Label("node_name"),)


@pytest.mark.parametrize(
    ("lines", "key", "allowed"),
    [
        ("presets: [dcmg]", "telemetry.presets[0]", "one of wattshift-mock, dcgm"),
        ("presets: []", "telemetry.presets", "a list of 1"),
        ("series: [{quantity: watts}]", "telemetry.series[0].quantity", "one of rack_power"),
        ("series: [{quantity: node_power, metric: a-b}]", "telemetry.series[0].metric", "a metric's name"),
        ("series: [{quantity: node_power, lables: {}}]", "telemetry.series[0].lables", "did you mean labels?"),
        ("match: {site: 5}", "telemetry.match.site", "text"),
        ("series: [{quantity: node_power, unit: J}]", "telemetry.series[0].unit", "one of W, mW, kW, MW"),
        ("series: [{quantity: node_power, expr: a, timed_by: a}]", "telemetry.series[0].expr", "knows no PromQL"),
        (
            "series: [{quantity: node_power, expr: a, timed_by: rate(a)}]",
            "telemetry.series[0].timed_by",
            "anything else is always as new as the question",
        ),
        ("series: [{quantity: node_power, timed_by: a}]", "telemetry.series[0].timed_by", "with expr"),
        (
            "presets: [dcgm]\nseries: [{quantity: rack_power, part: [ip]}]",
            "telemetry.series[0].metric",
            "no preset has rack_power",
        ),
        (
            "series: [{quantity: node_power, metric: psu_watts, combine: sum}]",
            "telemetry.series[0].part",
            "the labels that tell what is summed apart",
        ),
        (
            "series: [{quantity: node_power, metric: psu_watts, part: [psu]}]",
            "telemetry.series[0].expected",
            "how many parts a node has",
        ),
        (
            "series: [{quantity: rack_power, combine: max, expected: 3}]",
            "telemetry.series[0].expected",
            "only with combine: sum",
        ),
        (
            "series: [{quantity: gpu_power, node_overhead: true}]",
            "telemetry.series[0].node_overhead",
            "only for node_power",
        ),
        (
            "series: [{quantity: node_power, labels: {rack: {label: r}}}]",
            "telemetry.series[0].labels.rack",
            "node, which name what node_power is of",
        ),
        ("series: [{quantity: node_power, only: [nobody]}]", "telemetry.series[0].only[0]", "one of "),
        (
            "series: [{quantity: job_progress, only: [h100]}]",
            "telemetry.series[0].only[0]",
            "job_progress is of no fleet or pool",
        ),
        (
            "series:\n  - {quantity: node_power}\n  - {quantity: node_power}",
            "telemetry.series[1].quantity",
            "once; the first is on line",
        ),
        ("labels: {node: {label: a, pattern: '('}}", "telemetry.labels.node.pattern", "a regular expression"),
        (
            r"labels: {node: {label: a, pattern: 'x(.)', name: '\2'}}",
            "telemetry.labels.node.name",
            "groups of the pattern, of which there are 1",
        ),
        ("labels: {node: {label: a, name: b}}", "telemetry.labels.node.pattern", "what name is made from"),
        ("labels: {node: {pattern: a}}", "telemetry.labels.node.label", "the label whose value it is, or name alone"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(mapped: Mapped, lines: str, key: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as refused:
        mapped(lines)
    (problem,) = refused.value.problems
    assert problem.key == key
    assert allowed in problem.allowed
    assert problem.line is not None


def test_an_expression_needs_what_times_it(mapped: Mapped) -> None:
    with pytest.raises(SettingsError) as refused:
        mapped("series: [{quantity: node_power, expr: 'a + b'}]", "kind: prometheus\n  url: http://p")
    (problem,) = refused.value.problems
    assert problem.key == "telemetry.series[0].timed_by"


def test_presets_and_quantities_are_those_that_there_are() -> None:
    section = settings_schema()["$defs"]["ScrapeSection"]["properties"]["presets"]["anyOf"][0]["items"]["enum"]
    assert section == list(PRESETS)
    quantities = settings_schema()["$defs"]["SeriesSection"]["properties"]["quantity"]["enum"]
    assert quantities == list(QUANTITIES)
    assert {metric.unit for metric in QUANTITIES.values()} == set(UNITS)


def test_meters_are_mapped_as_devices_are(mapped: Mapped) -> None:
    """A vendor's exporter with its own names, labels and kW: `series.meter` is what the label says."""
    series = mapped(
        """
series:
  - quantity: meter_power
    metric: ion_active_power_kw
    unit: kW
    labels: {meter: {label: device, pattern: "(.+)-ion", name: '\\1'}}
"""
    )
    power = only(series, Metric.METER_POWER)
    assert (power.name, power.factor) == ("ion_active_power_kw", 1000.0)
    assert power.subject_of({"device": "grid-ion"}) == "grid"
    energy = only(series, Metric.METER_ENERGY)
    assert energy.name == "meter_energy_joules_total"
    assert energy.subject_of({"meter": "grid"}) == "grid"
