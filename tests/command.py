"""The `wattshift` command: as its user runs it, in a process of its own; or in the test's, for what it refuses."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from typer.testing import CliRunner

WATTSHIFT = (sys.executable, "-m", "orchestrator.cli")
PATIENCE_S = 240.0
"""For anything that a busy machine may be slow at."""


@dataclass(frozen=True)
class Ended:
    """A command that came to its end."""

    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """What a refused command said: exit code 2, one sentence on stderr, no traceback."""
        assert self.code == 2, self
        assert "Traceback" not in self.out + self.err
        said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", self.err).split())
        assert len(said) < 600, said
        return said


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The tests' environment without anything that changes what Wattshift does, on a wide terminal."""
    kept = {name: value for name, value in os.environ.items() if not _ours(name)}
    return {**kept, "COLUMNS": "300", **settings}


def ended(*arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
    """`wattshift ...` to its end, in a process of its own."""
    done = subprocess.run(
        [*WATTSHIFT, *arguments],
        env=environment(settings or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def ended_here(*arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
    """`wattshift ...` to its end in this process: for what is refused before anything is set up."""
    from orchestrator.cli.app import app

    changed = {**{name: None for name in os.environ if _ours(name)}, "COLUMNS": "300", **(settings or {})}
    done = CliRunner().invoke(app, arguments, env=changed, prog_name="wattshift")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


def refused(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """What `wattshift ...` says, which it must refuse; in this process."""
    return ended_here(*arguments, settings=settings).refusal()


def _ours(name: str) -> bool:
    return name.startswith(("WATTSHIFT_", "OTEL_"))
