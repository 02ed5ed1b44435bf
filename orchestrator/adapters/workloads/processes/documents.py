"""JSON documents in the run directory: replaced in one step, so that a reader never sees half of one."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Replace `path` by `document`. It survives the death of this process at any moment, not the loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(document, indent=1), encoding="utf-8")
    new.replace(path)


def read_document(path: Path) -> dict[str, object] | None:
    """The document at `path`, None where there is none; ValueError names the file when it is no JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds {type(document).__name__}; a JSON object is needed")
    return document
