"""The record of a demo's run, so that one that was killed goes on where it was."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


class RunFolderError(Exception):
    """The folder can't hold a run's record; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was started with. `ended` is set when its processes are gone and its record is closed."""

    site: str
    day: str
    speed: float
    seed: int
    start: str
    end: str
    wall_origin: float
    ended: bool = False

    def same(self, other: "Run") -> bool:
        """The same run but for when it was started."""
        return (self.site, self.day, self.speed, self.seed) == (other.site, other.day, other.speed, other.seed)


def open_folder(folder: Path) -> None:
    """Make the folder where there is none; RunFolderError where that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: {error.strerror}; the record of a run needs a folder, see --state") from error


def load_run(folder: Path) -> Run | None:
    """The run kept in `folder`; None where there is none that can be read."""
    try:
        return Run(**json.loads((folder / "run.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save_run(folder: Path, run: Run) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "run.json.new"
    temporary.write_text(json.dumps(asdict(run), indent=1))
    temporary.replace(folder / "run.json")
