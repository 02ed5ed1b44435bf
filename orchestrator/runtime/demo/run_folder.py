"""The folder of a run: its record, its clock and what its processes share, so that one that was killed goes on."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.workloads.processes.process_table import ProcessTable
from orchestrator.clock import SiteClock

STOP_WITHIN_S = 10.0
RUN_FILES = (
    *("clock.json", "setpoints.json", "meters.json", "run.json"),
    *("targets", "endpoints", "processes", "logs", "jobs", "power"),
    *("wattshift.db", "wattshift.db-wal", "wattshift.db-shm", "wattshift.db.lock"),
)
"""What a run keeps in its folder. The figures of `--speed max` beside them are not of it."""


class RunFolderError(Exception):
    """The folder can't hold a run's record; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was started with. `ended` is set when its processes are gone and its record is closed."""

    site: str
    day: str
    """The day that is played; empty for `wattshift serve`."""
    speed: float
    seed: int
    start: str
    """Site time, ISO 8601."""
    wall_origin: float
    """Wall time of `start`, unix seconds."""
    ended: bool = False

    def same(self, other: "Run") -> bool:
        """The same run but for when it was started."""
        return (self.site, self.day, self.speed, self.seed) == (other.site, other.day, other.speed, other.seed)

    @property
    def clock(self) -> SiteClock:
        return SiteClock(self.wall_origin, datetime.fromisoformat(self.start), self.speed)


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
    temporary = folder / "run.json.new"
    temporary.write_text(json.dumps(asdict(run), indent=1))
    temporary.replace(folder / "run.json")


def end_run(folder: Path, run: Run) -> None:
    """Note that the run is over: the next start begins a new one."""
    save_run(folder, replace(run, ended=True))


async def begin_or_go_on(
    folder: Path, wanted: Run, *, until: datetime, fresh: bool, tell: Callable[[str], None]
) -> tuple[Run, bool]:
    """The run in `folder` if it was cut off and is the one `wanted`, else `wanted` itself; True if it goes on.

    Before a new one begins, the processes and files of the one before are cleared away. Refused, before anything is
    touched: a folder of something else (RunFolderError), one that another controller works on (StoreInUseError).
    """
    open_folder(folder)
    if (folder / "wattshift.db.lock").exists():  # only our store leaves one, so no other database is opened here
        SqlStore.open(f"sqlite:///{folder / 'wattshift.db'}").close()
    kept = load_run(folder)
    _check_ours(folder, kept)
    if kept is not None and not kept.ended and not fresh and kept.same(wanted):
        now = kept.clock.at(time.time())
        if now < until:
            tell(f"Going on with the run that was cut off; it is {now:%H:%M} UTC on the site.")
            return kept, True
        tell("The run that was cut off is past the end of its day; a new one begins.")
    if (folder / "processes").exists():
        await ProcessTable(folder).stop_all(STOP_WITHIN_S)
    for path in _run_files(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    save_run(folder, wanted)
    return wanted, False


def _run_files(folder: Path) -> list[Path]:
    """The files of a run alone: the folder may be one that the user keeps other things in."""
    return [folder / name for name in RUN_FILES if (folder / name).exists()]


def _check_ours(folder: Path, kept: Run | None) -> None:
    """Refuses a folder with files of such names that no demo wrote, since a new run clears them away."""
    files = _run_files(folder)
    if kept is not None and not kept.day:
        raise RunFolderError(f"{folder} is the record of `wattshift serve`; choose another --state")
    if files and not (folder / "run.json").exists():
        raise RunFolderError(f"{folder} holds {files[0].name} but no run.json of a demo; choose another --state")
