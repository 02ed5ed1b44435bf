"""What the site file allows at a key, in words, from the same JSON Schema that editors use."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from orchestrator.settings.document import Path
from orchestrator.settings.sections.site import settings_schema

TAGGED = ("prices", "telemetry")
"""Sections whose keys depend on their `kind`; pydantic puts the kind into its paths: ("prices", "file", "point")."""

_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}
_BOUNDS = (
    ("minimum", "from {:,}"),
    ("exclusiveMinimum", "above {:,}"),
    ("maximum", "to {:,}"),
    ("minLength", "of {:,}"),
    ("maxLength", "to {:,} characters"),
    ("minItems", "of {:,}"),
    ("maxItems", "to {:,} items"),
)


def without_kind(loc: Path) -> Path:
    """The file's path for pydantic's."""
    return (loc[0], *loc[2:]) if len(loc) > 1 and loc[0] in TAGGED else loc


def allowed_at(loc: Path) -> str:
    """Type, range, unit and meaning of what goes at pydantic's path `loc`."""
    node = _schema_at(loc)
    return "; ".join(part for part in (_range(node), str(node.get("description", ""))) if part)


def keys_at(loc: Path) -> list[str]:
    return list(_schema_at(loc).get("properties", {}))


def kinds_at(path: Path) -> str:
    return "one of " + ", ".join(_schema_at(path)["discriminator"]["mapping"])


def _range(node: Mapping[str, Any]) -> str:
    if "allowed" in node:
        return str(node["allowed"])
    if "enum" in node or "const" in node:
        return "one of " + ", ".join(map(str, node.get("enum", [node.get("const")])))
    if "oneOf" in node:
        return "a mapping with kind"
    words = [_TYPES[node["type"]]]
    words += [text.format(node[key]) for key, text in _BOUNDS if key in node]
    words += [str(node["unit"])] if "unit" in node else []
    words += ["with " + ", ".join(node["properties"])] if "properties" in node else []
    return " ".join(words)


def _schema_at(loc: Path) -> Mapping[str, Any]:
    """The part of the schema for `loc`, its references and its option to be left out resolved."""
    node = _resolved(_schema())
    for part in loc:
        if isinstance(part, int):
            node = _resolved(node["items"])
        elif "oneOf" in node:
            node = _resolved({"$ref": node["discriminator"]["mapping"][part]})
        else:
            node = _resolved(node.get("properties", {}).get(part) or node["additionalProperties"])
    return node


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`node` as a schema with a type: a description beside a reference goes before the one behind it."""
    target = next((option for option in node.get("anyOf", ()) if option.get("type") != "null"), node)
    if "$ref" in target:
        target = {**_schema()["$defs"][target["$ref"].rsplit("/", 1)[-1]], **target}
    beside = {key: value for key, value in node.items() if key not in ("anyOf", "$ref")}
    return {**target, **beside}


@cache
def _schema() -> dict[str, Any]:
    return settings_schema()
