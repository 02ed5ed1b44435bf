"""What is wrong in a site file, so that its author can put it right: file, line, key, value, what is allowed."""

import difflib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.settings.allowed import allowed_at, keys_at, kinds_at, without_kind
from orchestrator.settings.document import Document, Path
from orchestrator.settings.sections import site as schema

NOTHING = "nothing"

_WORD = re.compile(r"[\w-]+\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error."""

    source: str
    """The file as it was named, or `environment`."""
    line: int | None
    """Counts from 1; None in the environment."""
    key: str
    """Dotted path such as `fleets[0].modes[1].power_w`, or the variable's name."""
    value: str
    """What was found."""
    allowed: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.key}: found {self.value}; allowed: {self.allowed}"


class SettingsError(Exception):
    """The site can't be started from these settings. `problems` are all of them, in order of line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.key)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """`fleets[0].name` for ("fleets", 0, "name"); odd keys in quotes, so that an error stays one line."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _WORD.match(part) else json.dumps(part))
    return text or "(the whole file)"


def shown(value: object) -> str:
    """A value as its author wrote it, cut short."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return {True: ".nan"}.get(math.isnan(value), ".inf" if value > 0 else "-.inf")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= 60 else f"{text[:57]}..."


class Found:
    """Problems of one file, as they are found."""

    def __init__(self, source: str, document: Document) -> None:
        self._source = source
        self._document = document
        self._paths = {fault.path for fault in document.faults}
        self.problems = [
            Problem(source, fault.line, dotted(fault.path), fault.value, fault.allowed) for fault in document.faults
        ]

    def add(self, path: Path, value: str, allowed: str) -> None:
        """Adds an error, unless the YAML itself is already at fault there."""
        if path not in self._paths:
            self.problems.append(Problem(self._source, self._document.line(path), dotted(path), value, allowed))

    @property
    def readable(self) -> bool:
        """False for a file that is not YAML, of which there is nothing more to say."""
        return self._document.value is not None or not self._document.faults

    @property
    def value(self) -> object:
        return self._document.value

    def line(self, path: Path) -> int:
        return self._document.line(path)

    def where(self, path: Path) -> str:
        """File, line and key, for errors that are found only when what is written there is used."""
        return f"{self._source}:{self.line(path)}: {dotted(path)}"

    def add_schema_errors(self) -> None:
        """Adds what the models refuse: unknown and missing keys, wrong types, values out of range."""
        try:
            schema.SiteFile.model_validate(self._document.value)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                self.add(*_explain(details))


def _explain(details: ErrorDetails) -> tuple[Path, str, str]:
    loc = details["loc"]
    path = without_kind(loc)
    error = details["type"]
    if error == "extra_forbidden":
        keys = keys_at(loc[:-1])
        close = difflib.get_close_matches(str(path[-1]), keys, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return path, f"an unknown key with {shown(details['input'])}", f"{', '.join(keys)}{hint}"
    if error == "union_tag_invalid":
        return (*path, "kind"), shown(details["input"].get("kind")), kinds_at(path)
    if error == "union_tag_not_found":
        return (*path, "kind"), NOTHING, kinds_at(path)
    return path, NOTHING if error == "missing" else shown(details["input"]), allowed_at(loc)
