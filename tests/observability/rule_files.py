"""The mixin's files as data."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from orchestrator.runtime.observability.metrics.all_families import FAMILIES
from orchestrator.runtime.observability.metrics.family import Family, Kind

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "mixin" / "rules"
UNIT_TESTS = ROOT / "deploy" / "mixin" / "tests"
RUNBOOKS = ROOT / "docs" / "runbooks"
IN_CHART = ROOT / "charts" / "wattshift" / "files" / "rules"

Rule = dict[str, Any]


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def rule_files() -> list[Path]:
    return sorted(RULES.glob("*.yaml"))


def rules() -> list[Rule]:
    return [rule for path in rule_files() for group in load(path)["groups"] for rule in group["rules"]]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    """Names that recording rules give."""
    return {rule["record"] for rule in rules() if "record" in rule}


def asked_in(rule: Rule) -> list[str]:
    """Queries of a rule: its own and those of its annotations."""
    return [rule["expr"], *(text for text in rule.get("annotations", {}).values() if "query" in text)]


def selectors(promql: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Metrics that a query names, with their matchers `label: value`."""
    for found in re.finditer(r"(?<![\w:])((?:[a-z_]+:)?wattshift_\w+(?::\w+)?)(?:\{([^}]*)\})?", promql):
        yield found[1], dict(re.findall(r"""(\w+)=~?["'](.*?)["']""", found[2] or ""))


def grouped_by(promql: str) -> set[str]:
    """Labels that a query groups or matches by."""
    listed = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", promql)
    return {label.strip() for labels in listed for label in labels.split(",")}


def exported() -> dict[str, Family]:
    """Families by each name that Prometheus has for one of their series."""
    names: dict[str, Family] = {}
    for family in FAMILIES.values():
        ends = ("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",)
        names.update({f"{family.name}{end}": family for end in ends})
    return names
