"""Levels of a running controller's log, from the command line."""

from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from orchestrator.runtime.client.client import ask


def show_levels(url: str, api_key: str | None, console: Console) -> None:
    """Print the level of each logger. Raises ClientError."""
    table = Table("logger", "level", "until")
    for entry in ask("GET", url, "/api/v1/log-levels", api_key)["log_levels"]:
        table.add_row(entry["logger"], entry["level"], entry["until"] or "")
    console.print(table)


def change_level(url: str, api_key: str | None, logger: str, level: str, minutes: float, console: Console) -> None:
    """Change the level of a logger for a while. Raises ClientError."""
    order = {"level": level, "for_minutes": minutes}
    changed = ask("PUT", url, f"/api/v1/log-levels/{quote(logger, safe='')}", api_key, order)
    console.print(f"{changed['logger']} says {changed['level']} and above until {changed['until']}")
