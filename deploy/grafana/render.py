"""Write the dashboards as JSON, for people to import and for the chart."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.controller import controller
from deploy.grafana.dispatch import dispatch
from deploy.grafana.fleets import fleets
from deploy.grafana.jobs import jobs
from deploy.grafana.site import site

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "deploy" / "grafana" / "dashboards", ROOT / "charts" / "wattshift" / "files" / "dashboards")
"""The chart can't read files outside of itself, so there are two copies."""


def rendered() -> dict[str, str]:
    """File names and their JSON."""
    made = (site(), dispatch(), jobs(), fleets(), controller())
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for dashboard in made
    }


def write() -> None:
    for folder in FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.json"):
            old.unlink()
        for name, text in rendered().items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    write()
