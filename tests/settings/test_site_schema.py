import json
from pathlib import Path
from typing import Any

from orchestrator.settings import settings_schema

ROOT = Path(__file__).parents[2]


def test_the_schema_file_is_current_make_schema_remakes_it() -> None:
    assert json.loads((ROOT / "docs" / "site.schema.json").read_text(encoding="utf-8")) == settings_schema()


def test_the_example_names_the_schema_for_editors(example_path: Path) -> None:
    first = example_path.read_text(encoding="utf-8").splitlines()[0]
    assert (example_path.parent / first.removeprefix("# yaml-language-server: $schema=")).is_file()


def test_every_key_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "site-file.md").read_text(encoding="utf-8")
    keys = {key for section in sections(settings_schema()) for key in section.get("properties", {})}
    assert len(keys) > 50
    assert {key for key in keys if key not in text} == set()


def test_no_key_goes_unsaid_to_an_editor() -> None:
    for section in sections(settings_schema()):
        assert section.get("description")
        assert section["additionalProperties"] is False


def sections(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema, *schema["$defs"].values()]
