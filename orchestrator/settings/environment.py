"""The few settings that the environment may override, secrets among them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.settings.problems import Problem

STORE_URL = re.compile(r"^(sqlite|postgresql(\+\w+)?)://\S+$")
STORE_URL_ALLOWED = "a SQLAlchemy URL: sqlite:///file or postgresql+driver://..."
HTTP_URL = re.compile(r"^https?://[^\s/]+\S*$")
API_KEY = re.compile(r"^[\x21-\x7e]{16,256}$")


@dataclass(frozen=True, slots=True)
class Overrides:
    store_url: str | None = field(repr=False)
    api_key: str | None = field(repr=False)
    prometheus_url: str | None


def read_environment(env: Mapping[str, str]) -> tuple[Overrides, list[Problem]]:
    """Overrides in `env`, and what is wrong with them. A variable that is set but empty counts as not set.

    Values are not shown: they may be secrets.
    """
    problems: list[Problem] = []

    def read(name: str, pattern: re.Pattern[str], allowed: str) -> str | None:
        value = env.get(name, "")
        if value and not pattern.match(value):
            problems.append(Problem("environment", None, name, f"{len(value)} characters that are not", allowed))
        return value or None

    overrides = Overrides(
        store_url=read("WATTSHIFT_STORE_URL", STORE_URL, STORE_URL_ALLOWED),
        api_key=read("WATTSHIFT_API_KEY", API_KEY, "16 to 256 ASCII characters without spaces"),
        prometheus_url=read("WATTSHIFT_PROMETHEUS_URL", HTTP_URL, "an http:// or https:// URL"),
    )
    return overrides, problems
