from pathlib import Path

from orchestrator.runtime.observability.metrics.all_families import FAMILIES
from orchestrator.runtime.observability.metrics.document import renewed

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_document_is_current_make_metrics_remakes_it() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert renewed(text) == text


def test_every_family_has_its_row() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `wattshift_")]
    assert [row.split("`")[1] for row in rows] == [family.name for family in FAMILIES.values()]
    assert len(rows) > 60


def test_names_end_in_their_unit() -> None:
    for family in FAMILIES.values():
        assert family.base.endswith(f"_{family.unit}" if family.unit else family.base), family.name
