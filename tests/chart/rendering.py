"""The chart as the API server would get it."""

import subprocess
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "wattshift"
KIND_SITE = ROOT / "examples" / "kind-site.yaml"

Document = dict[str, Any]


class ChartRefusedError(Exception):
    """Helm refused the values; the text is Helm's."""


def site_options(site: Path = KIND_SITE) -> list[str]:
    return ["--set-file", f"siteFile={site}"]


def render_text(options: Sequence[str], *, release: str = "wattshift", namespace: str = "wattshift") -> str:
    """What `helm template` prints for the chart with these options; ChartRefusedError if it refuses."""
    command = ["helm", "template", release, str(CHART), "--namespace", namespace, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ChartRefusedError(done.stderr)
    return done.stdout


def render(options: Sequence[str], *, release: str = "wattshift", namespace: str = "wattshift") -> list[Document]:
    """The same as objects."""
    text = render_text(options, release=release, namespace=namespace)
    return [document for document in YAML(typ="safe").load_all(StringIO(text)) if document]


def of_kind(objects: Sequence[Document], kind: str) -> dict[str, Document]:
    """Those of one kind by their name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def pod_spec(item: Document) -> Document | None:
    """The pods that an object makes; None if it makes none."""
    spec: Document | None = item.get("spec", {}).get("template", {}).get("spec") if "spec" in item else None
    return spec
