"""The demo's Docker Compose file: what it mounts is there, and what it opens is this machine's alone."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.observability.dashboards import DASHBOARDS, FOLDER

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE / name)
    return loaded


SERVICES: dict[str, dict[str, Any]] = document("compose.yaml")["services"]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_is_held_tight_and_reached_from_here_alone(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_mounted_is_there() -> None:
    mounted = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert all((COMPOSE / source).exists() and mode == "ro" for source, _, mode in mounted)
    places = {target: (COMPOSE / source).resolve() for source, target, _ in mounted}
    (provider,) = document("provider.yaml")["providers"]
    assert places[provider["options"]["path"]] == FOLDER
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(provider["options"]["path"])
    assert Path(home).stem in DASHBOARDS


def test_prometheus_knows_the_key() -> None:
    config = document("prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["authorization"]["credentials"] == SERVICES["demo"]["environment"]["WATTSHIFT_API_KEY"]
    (source,) = document("datasource.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "config", COMPOSE / "prometheus.yml"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
