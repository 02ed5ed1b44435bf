"""The site file as its author sees it: what is taken from it, and what is said of each slip."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.site.machines import Mode
from orchestrator.domain.sla import SlaClass
from orchestrator.settings import (
    Cluster,
    ConstantSeries,
    CsvSeries,
    FilePrices,
    HttpPrices,
    Problem,
    PrometheusMetrics,
    PushedPrices,
    ScrapedMetrics,
    SettingsError,
    load_settings,
)

Edit = Callable[..., Path]

BILLION_LAUGHS = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 9))


def problems(path: Path, env: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, env or {})
    return caught.value.problems


def only(path: Path) -> Problem:
    found = problems(path)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def line_of(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_the_example_as_frozen_values(example_path: Path) -> None:
    settings = load_settings(example_path, {})
    site = settings.site
    assert (site.name, site.timezone, site.grid.limit_kw) == ("texas-100mw", "America/Chicago", 100_000)
    assert [fleet.name for fleet in site.fleets] == ["s19j-pro", "s19-xp", "s21", "s21-xp"]
    s21 = site.fleet("s21")
    assert s21.mode("normal") == Mode("normal", 3500.0, 200.0)
    assert s21.warm_up == timedelta(minutes=8)
    assert [(pool.name, pool.gpus) for pool in site.pools] == [("h100", 1024), ("gb200", 1728)]
    assert {tenant.sla for tenant in site.tenants} == set(SlaClass)
    assert settings.prices == FilePrices((example_path.parent / "ercot-2023-09-06.csv",), None, "America/Chicago", None)
    assert settings.hashprice == CsvSeries(example_path.parent / "hashprice-2023-09.csv", "UTC")
    assert settings.telemetry == ScrapedMetrics()
    assert settings.mock is not None
    assert settings.api_key is None
    assert settings.store_url == f"sqlite:///{example_path.parent.resolve() / '.wattshift' / 'texas-100mw.db'}"


def test_the_example_has_room_for_turbo_when_cool_and_none_when_hot(example_path: Path) -> None:
    site = load_settings(example_path, {}).site
    normal_kw = sum(fleet.racks * fleet.rack_kw(fleet.default_mode) for fleet in site.fleets)
    hpc_kw = sum(pool.nameplate_kw for pool in site.pools)
    full_kw = sum(fleet.nameplate_kw for fleet in site.fleets)
    usable_kw = site.grid.limit_kw * (1 - site.grid.measurement_uncertainty)
    assert 97_000 < (normal_kw + hpc_kw) * site.cooling.pue(25) < 98_000
    assert (full_kw + hpc_kw) * site.cooling.pue(0) > usable_kw
    assert (normal_kw + hpc_kw) * site.cooling.pue(40) > usable_kw


def test_a_file_without_hold_ramps_and_limits_of_their_own_has_those_of_before(example_path: Path) -> None:
    site = load_settings(example_path, {}).site
    assert (site.grid.ramp_up_kw_per_min, site.grid.ramp_down_kw_per_min) == (None, None)
    controls = site.controls
    assert (controls.up_within, controls.down_within) == (controls.verify_within, controls.verify_within)
    assert controls.lapse_over == timedelta(0)
    assert (site.stale.telemetry_hold, site.stale.telemetry_safe_kw) == (timedelta(minutes=15), None)


def test_hold_safe_power_ramps_and_time_limits_are_read(edited: Edit) -> None:
    file = edited(
        ("  limit_kw: 100000", "  limit_kw: 100000\n  ramp_kw_per_min: {up: 500, down: 2000}"),
        ("\nstale:", "\nstale:\n  telemetry_hold_s: 300\n  telemetry_safe_kw: 20000"),
        ("\ncontrols:", "\ncontrols:\n  verify_up_s: 90\n  verify_down_s: 30\n  lapse_over_s: 60"),
    )
    site = load_settings(file, {}).site
    assert (site.grid.ramp_up_kw_per_min, site.grid.ramp_down_kw_per_min) == (500.0, 2000.0)
    assert (site.stale.telemetry_hold, site.stale.telemetry_safe_kw) == (timedelta(minutes=5), 20_000.0)
    controls = site.controls
    assert (controls.up_within, controls.down_within) == (timedelta(seconds=90), timedelta(seconds=30))
    assert controls.lapse_over == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("old", "new", "at", "key", "value", "allowed"),
    [
        ("limit_kw: 100000", "limit_kw: -5", "-5", "grid.limit_kw", "-5", "above 0"),
        ("limit_kw: 100000", "limit_kw: .nan", ".nan", "grid.limit_kw", ".nan", "a number above 0"),
        ("limit_kw: 100000", "limit_kw: .inf", ".inf", "grid.limit_kw", ".inf", "a number above 0"),
        ("limit_kw: 100000", "limit_kw: 1e9", "1e9", "grid.limit_kw", "1000000000.0", "10,000,000 kW"),
        ("limit_kw: 100000", 'limit_kw: "100000"', '"100000"', "grid.limit_kw", '"100000"', "a number"),
        ("limit_kw: 100000", "limit_kw: true", "limit_kw: true", "grid.limit_kw", "true", "a number"),
        ("limit_kw: 100000", "limit_kw:", "limit_kw:", "grid.limit_kw", "null", "a number"),
        ("  limit_kw: 100000\n", "", "grid:", "grid.limit_kw", "nothing", "a number above 0"),
        ("racks: 10", "racks: 1.5", "racks: 1.5", "fleets[0].racks", "1.5", "a whole number from 1"),
        (
            "warm_up_s: 480",
            "warm_up: 480\n    warm_up_s: 480",
            "warm_up: 480",
            "fleets[0].warm_up",
            "480",
            "warm_up_s?",
        ),
        ("name: texas-100mw", "name: Texas 100", "name: Texas 100", "name", '"Texas 100"', "Kubernetes name"),
        ("feeder: north", "feeder: nord", "nord", "fleets[0].feeder", '"nord"', "north, east, south, west"),
        ("default_mode: normal", "default_mode: norml", "norml", "fleets[0].default_mode", '"norml"', "eco, normal"),
        ("power_w: 3068", "power_w: 2000", "power_w: 2000", "fleets[0].modes[1].power_w", "2000.0", "2454"),
        ("name: eco", "name: sleep", "name: sleep", "fleets[0].modes[0].name", '"sleep"', "another name"),
        ("name: eco", "name: turbo", "", "fleets[0].modes[2].name", '"turbo"', "once"),
        ("sleep_w: 15", "sleep_w: 2500", "sleep_w: 2500", "fleets[0].sleep_w", "2500.0", "2454"),
        ("name: s19-xp", "name: s19j-pro", "", "fleets[1].name", '"s19j-pro"', "first is on line"),
        ("name: h100", "name: s21", "", "gpu_pools[0].name", '"s21"', "first is on line"),
        (
            "  - name: east",
            "  - {name: north, limit_kw: 9000}\n  - name: east",
            "",
            "feeders[1].name",
            '"north"',
            "once",
        ),
        ("gpu_idle_w: 70", "gpu_idle_w: 250", "250", "gpu_pools[0].gpu_idle_w", "250.0", "gpu_min_power_w, 200"),
        (
            "gpu_min_power_w: 200",
            "gpu_min_power_w: 800",
            "gpu_min_power_w: 800",
            "gpu_pools[0].gpu_min_power_w",
            "800.0",
            "700",
        ),
        ("sla: flexible", "sla: flex", "flex", "tenants[1].sla", '"flex"', "guaranteed, flexible, best-effort"),
        ("timezone: America/Chicago", "timezone: US/Texas", "US/Texas", "timezone", '"US/Texas"', "IANA"),
        ("temperature_c: 15", "temperature_c: -1", "", "cooling.pue_by_temperature[1].temperature_c", "-1.0", "more"),
        ("kind: file", "kind: files", "files", "prices.kind", '"files"', "file, http, push"),
        ("  kind: file\n", "", "prices:", "prices.kind", "nothing", "file, http, push"),
        ("[ercot-2023-09-06.csv]", "[none.csv]", "none.csv", "prices.files[0]", '"none.csv"', "a file that is there"),
        (
            "file: hashprice-2023-09.csv",
            "usd_per_ph_day: 60\n  file: hashprice-2023-09.csv",
            "",
            "hashprice",
            "",
            "one of",
        ),
        ("  file: hashprice-2023-09.csv", "  {}", "", "hashprice", "nothing", "usd_per_ph_day and file"),
        ("verify_within_s: 60", "verify_within_s: 1", "", "controls.verify_within_s", "1.0", "tick_s, 5"),
        (
            "verify_within_s: 60",
            "verify_within_s: 60\n  verify_up_s: 2",
            "verify_up_s",
            "controls.verify_up_s",
            "2.0",
            "tick_s, 5",
        ),
        (
            "  limit_kw: 100000",
            "  limit_kw: 100000\n  ramp_kw_per_min: {up: 0}",
            "ramp_kw_per_min",
            "grid.ramp_kw_per_min.up",
            "0",
            "above 0",
        ),
        ("lease_s: 300", "lease_s: 10", "lease_s: 10", "controls.lease_s", "10.0", "3 x tick_s, 15"),
        ("limit_kw: 27000", "limit_kw: 50", "limit_kw: 50", "feeders[0].limit_kw", "50.0", "asleep and idle"),
        ("limit_kw: 100000", "limit_kw: 2000", "limit_kw: 2000", "grid.limit_kw", "2000.0", "asleep and idle"),
        ("telemetry:\n  kind: scrape", "telemetry:\n  kind: prometheus", "", "telemetry.url", "nothing", "http"),
        ("mock:", "store_url: mysql://x:secret@h/d\nmock:", "mysql", "store_url", '"h/d"', "postgresql"),
        ("mock:", "name: again\nmock:", "name: again", "name", "the key again", "first on line"),
    ],
)
def test_one_slip_is_one_error_with_its_place(
    edited: Edit, old: str, new: str, at: str, key: str, value: str, allowed: str
) -> None:
    path = edited((old, new))
    problem = only(path)
    assert problem.key == key
    assert problem.source == str(path)
    assert problem.value.endswith(value)
    assert allowed in problem.allowed
    if at:
        assert problem.line == line_of(path, at)
    assert str(problem).startswith(f"{path}:{problem.line}: {key}: found ")


def test_a_key_of_an_older_site_file_is_refused_and_the_one_of_now_is_named(edited: Edit) -> None:
    path = edited(("price_persistence_s: 3600", "outlook_s: 3600"))
    missing, unknown = sorted(problems(path), key=lambda problem: problem.value == "an unknown key with 3600")
    assert (unknown.key, unknown.line) == ("controls.outlook_s", line_of(path, "outlook_s"))
    assert "price_persistence_s" in unknown.allowed
    assert (missing.key, missing.value) == ("controls.price_persistence_s", "nothing")


def test_all_errors_are_told_at_once_in_order_of_line(edited: Edit) -> None:
    path = edited(
        ("measurement_uncertainty: 0.01", "measurement_uncertainty: 1"),
        ("racks: 10", "racks: ten"),
        ("feeder: east", "feeder: est"),
        ("name: lumen-ai", "name: aurora-bio"),
        ("tick_s: 5", "tick_s: 0"),
    )
    found = problems(path, {"WATTSHIFT_API_KEY": "short"})
    assert [problem.key for problem in found] == [
        "WATTSHIFT_API_KEY",
        "grid.measurement_uncertainty",
        "fleets[0].racks",
        "fleets[1].feeder",
        "tenants[1].name",
        "controls.tick_s",
    ]


@pytest.mark.parametrize(
    ("text", "line", "allowed"),
    [
        ("name: x\ngrid: [1, 2\n", 3, "YAML"),
        ("name: x\n\tgrid: 1\n", 2, "YAML"),
        ("name: x\ngrid: *grid\n", 2, "undefined alias"),
        ("name: x\n---\nname: y\n", 2, "another document"),
        ("name: \x00\n", 1, "special characters"),
        ("name: x\ngrid: !!python/object:os.system 1\n", 2, "without a !tag"),
        ("name: x\ngrid: " + "9" * 5000, 2, "a number of a size"),
        ("name: x\n? [1, 2]\n: 3\n", 2, "a word as a key"),
        ("grid: " + "[" * 1500, 1, "nested too deep"),
        ("grid: &a [*a]", 1, "nested too deep"),
        (BILLION_LAUGHS, 1, "100000 values"),
        ("", 1, "a mapping with name"),
        ("- name", 1, "a mapping with name"),
        ("just words", 1, "a mapping with name"),
    ],
)
def test_a_file_that_is_no_site_file_says_where_it_goes_wrong(
    tmp_path: Path, text: str, line: int, allowed: str
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    found = problems(path)
    assert any(problem.line == line and allowed in problem.allowed for problem in found), "\n".join(map(str, found))


def test_a_file_that_cannot_be_read_is_an_error_too(tmp_path: Path) -> None:
    assert "a file that can be read" in only(tmp_path / "none.yaml").allowed
    assert "a file that can be read" in only(tmp_path).allowed
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: x\ntimezone: \xe9\n")
    assert (only(latin).line, only(latin).allowed) == (2, "text in UTF-8")


def test_two_keys_that_are_there_twice_are_both_told(edited: Edit) -> None:
    path = edited(("racks: 10", "racks: 10\n    racks: 11"), ("mock:", "timezone: UTC\nmock:"))
    assert [problem.key for problem in problems(path)] == ["fleets[0].racks", "timezone"]


def test_times_without_an_offset_are_the_sites_where_a_feed_names_no_zone(edited: Edit) -> None:
    own = load_settings(edited(), {})
    assert isinstance(own.prices, FilePrices)
    assert isinstance(own.weather, CsvSeries)
    assert (own.prices.timezone, own.weather.timezone) == ("America/Chicago", "America/Chicago")
    named = load_settings(edited(("  kind: file\n", "  kind: file\n  timezone: UTC\n")), {})
    assert isinstance(named.prices, FilePrices)
    assert named.prices.timezone == "UTC"


def test_feeds_of_other_kinds(edited: Edit) -> None:
    path = edited(
        ("kind: file\n  files: [ercot-2023-09-06.csv]", "kind: http\n  url: http://127.0.0.1:9/p\n  every_s: 60"),
        ("file: hashprice-2023-09.csv", "usd_per_ph_day: 60"),
        ("file: dallas-2023-09-06-weather.csv", "temperature_c: 30"),
        ("kind: scrape", "kind: prometheus\n  url: http://127.0.0.1:9090"),
    )
    settings = load_settings(path, {})
    assert settings.prices == HttpPrices("http://127.0.0.1:9/p", 60.0)
    assert (settings.hashprice, settings.weather) == (ConstantSeries(60.0), ConstantSeries(30.0))
    assert settings.telemetry == PrometheusMetrics("http://127.0.0.1:9090")
    pushed = edited(("kind: file\n  files: [ercot-2023-09-06.csv]", "kind: push"))
    assert load_settings(pushed, {}).prices == PushedPrices()


def test_the_environment_goes_before_the_file(example_path: Path) -> None:
    env = {
        "WATTSHIFT_STORE_URL": "postgresql+psycopg://u:p@db/w",
        "WATTSHIFT_API_KEY": "k" * 16,
        "WATTSHIFT_PROMETHEUS_URL": "https://prometheus",
    }
    settings = load_settings(example_path, env)
    assert settings.store_url == env["WATTSHIFT_STORE_URL"]
    assert settings.api_key == "k" * 16
    assert settings.telemetry == PrometheusMetrics("https://prometheus")
    assert "k" * 16 not in repr(settings)
    assert "u:p" not in repr(settings)


def test_a_bad_variable_is_named_and_its_value_not_shown(example_path: Path) -> None:
    env = {"WATTSHIFT_STORE_URL": "mysql://s3cret", "WATTSHIFT_API_KEY": "s3cret", "WATTSHIFT_PROMETHEUS_URL": "s3cret"}
    found = problems(example_path, env)
    assert {problem.key for problem in found} == set(env)
    assert all(problem.line is None for problem in found)
    assert "s3cret" not in "".join(map(str, found))
    assert load_settings(example_path, dict.fromkeys(env, "")).api_key is None


def test_paths_are_relative_to_the_site_file(edited: Edit, site_folder: Path) -> None:
    path = edited(("mock:", "state_dir: state\nstore_url: sqlite:///records.db\nmock:"))
    settings = load_settings(path, {})
    assert settings.state_dir == (site_folder / "state").resolve()
    assert settings.store_url == f"sqlite:///{site_folder.resolve() / 'records.db'}"
    in_memory = edited(("mock:", "store_url: 'sqlite:///:memory:'\nmock:"))
    assert load_settings(in_memory, {}).store_url == "sqlite:///:memory:"


def test_a_site_of_one_kind_alone_is_fine_but_not_of_none(edited: Edit, example_path: Path) -> None:
    text = example_path.read_text(encoding="utf-8")
    fleets = text[text.index("fleets:\n") : text.index("# GPU power limits")]
    pools = text[text.index("gpu_pools:\n") : text.index("# Invented customers")]
    tenants = text[text.index("tenants:\n") : text.index("# Files are relative")]
    assert load_settings(edited((fleets, "")), {}).site.fleets == ()
    assert load_settings(edited((pools, ""), (tenants, "")), {}).site.pools == ()
    assert only(edited((tenants, ""))).key == "tenants"
    assert "at least one fleet" in only(edited((fleets, ""), (pools, ""))).allowed


def test_what_may_not_be_meant_is_a_warning(edited: Edit) -> None:
    path = edited(
        ("min_on_s: 600", "min_on_s: 60"),
        ("hashrate_ths: 112.8", "hashrate_ths: 104"),
        ("telemetry_max_age_s: 60", "telemetry_max_age_s: 6"),
        ("feeders:", "feeders:\n  - {name: spare, limit_kw: 10}"),
    )
    warnings = "\n".join(load_settings(path, {}).warnings)
    assert f"line {line_of(path, 'min_on_s: 60')}: fleets[0].min_on_s: shorter than warm_up_s" in warnings
    assert "fleets[0].modes[2].hashrate_ths: no more than normal's" in warnings
    assert "stale.telemetry_max_age_s: less than two ticks" in warnings
    assert "spare has no load" in warnings
    assert "south's loads at full power draw" in warnings
    assert "north's" not in warnings


PROMETHEUS = ("kind: scrape", "kind: prometheus\n  url: http://127.0.0.1:9090")


def test_a_cluster_with_all_left_out_and_with_all_given(edited: Edit, example_path: Path) -> None:
    mock = example_path.read_text(encoding="utf-8").partition("mock:\n")[2]
    assert load_settings(example_path, {}).kubernetes is None
    path = edited(PROMETHEUS, ("mock:\n" + mock, "kubernetes: {}\n"))
    settings = load_settings(path, {})
    assert (settings.kubernetes, settings.mock) == (Cluster("wattshift", None, None), None)
    given = "kubernetes: {name: west, namespace: power, context: kind-west}\n"
    path = edited(PROMETHEUS, ("mock:\n" + mock, given))
    assert load_settings(path, {}).kubernetes == Cluster("west", "power", "kind-west")
    path = edited(PROMETHEUS, ("mock:\n" + mock, "kubernetes: {name: West}\n"))
    assert (only(path).key, "Kubernetes name" in only(path).allowed) == ("kubernetes.name", True)


def test_mock_and_kubernetes_exclude_each_other(edited: Edit) -> None:
    problem = only(edited(PROMETHEUS, ("mock:", "kubernetes: {}\nmock:")))
    assert (problem.key, problem.value) == ("kubernetes", "mock and kubernetes")
    assert "one of mock and kubernetes" in problem.allowed


def test_a_cluster_is_not_scraped(edited: Edit, example_path: Path) -> None:
    mock = example_path.read_text(encoding="utf-8").partition("mock:\n")[2]
    path = edited(("mock:\n" + mock, "kubernetes: {}\n"))
    problem = only(path)
    assert (problem.key, problem.value, problem.line) == ("telemetry.kind", '"scrape"', line_of(path, "kind: scrape"))
    assert problem.allowed.startswith("prometheus, since there is kubernetes")
    assert load_settings(path, {"WATTSHIFT_PROMETHEUS_URL": "http://p:9090"}).kubernetes is not None
