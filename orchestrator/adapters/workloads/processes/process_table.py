"""Detached processes of a run directory: each id runs once, whoever started it.

`<run>/processes/<id>.json` holds pid and create time (which guards against a pid used again), `<run>/logs/<id>.log`
what the process printed. Every process carries its run directory and id in its environment from the moment it
exists. A controller killed between starting a process and writing its pid file leaves one without a file; the next
controller finds it by that mark, so there is never a second one of the same id.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from orchestrator.adapters.workloads.processes.documents import read_document, write_document

MARK = "WATTSHIFT_PROCESS"
_POLL_S = 0.02
_CLOCK_STEP_S = 2.0
"""A create time is counted from the boot time, which moves when the wall clock is set."""


class ProcessTable:
    """The processes of one run directory. Those that live already are adopted."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir.resolve()
        self._processes: dict[str, psutil.Process] = {}
        self._children: set[int] = set()
        self._exits: dict[str, str] = {}
        self._adopt()

    def start(self, name: str, arguments: Sequence[str]) -> int:
        """Run `python <arguments>` as `name` and return its pid; that of the living one if there is one.

        It gets a session of its own, so that Ctrl-C in the terminal reaches only the controller. OSError if the
        system refuses another process.
        """
        if self.alive(name):
            return self._processes[name].pid
        log = self._run_dir / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            {**os.environ, MARK: self._mark(name), "PYTHONUNBUFFERED": "1"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
        )
        self._children.add(pid)
        self._keep(name, psutil.Process(pid))
        self._exits.pop(name, None)
        return pid

    def alive(self, name: str) -> bool:
        """Whether `name` runs; what is left of one that ended is cleared away."""
        process = self._processes.get(name)
        if process is None:
            return False
        status = self._exit_status(process)
        if status is None:
            return True
        self._exits[name] = status
        del self._processes[name]
        self._children.discard(process.pid)
        self._pid_file(name).unlink(missing_ok=True)
        return False

    def names(self) -> tuple[str, ...]:
        """The living, sorted."""
        return tuple(name for name in sorted(self._processes) if self.alive(name))

    def pid(self, name: str) -> int | None:
        return self._processes[name].pid if self.alive(name) else None

    def exit_status(self, name: str) -> str:
        """How the last process of that name ended, in words."""
        return self._exits.get(name, "ended while no controller ran")

    def last_log_line(self, name: str) -> str:
        """The last line that `name` printed; empty if none."""
        try:
            text = (self._run_dir / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text.rstrip().rpartition("\n")[2]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to `name` if it lives."""
        if self.alive(name):
            self._processes[name].send_signal(number)

    async def stop(self, names: Iterable[str], deadline_s: float) -> None:
        """SIGTERM to all at once; SIGKILL to those that still live `deadline_s` later. Returns when none lives."""
        left = [name for name in names if self.alive(name)]
        for name in left:
            self.signal(name, signal.SIGTERM)
        deadline = time.monotonic() + deadline_s
        killed = False
        while left := [name for name in left if self.alive(name)]:
            if not killed and time.monotonic() >= deadline:
                killed = True
                for name in left:
                    self.signal(name, signal.SIGKILL)
            await asyncio.sleep(_POLL_S)

    async def stop_all(self, deadline_s: float) -> None:
        await self.stop(self.names(), deadline_s)

    def _adopt(self) -> None:
        for file in sorted((self._run_dir / "processes").glob("*.json")):
            process = _recorded(file)
            if process is None:
                file.unlink(missing_ok=True)
            else:
                self._processes[file.stem] = process
        known = {process.pid for process in self._processes.values()}
        for process in psutil.process_iter():
            if process.pid in known:
                continue
            directory, _, name = _mark_of(process).rpartition("//")
            if directory == str(self._run_dir) and name not in self._processes and self._exit_status(process) is None:
                self._keep(name, process)

    def _keep(self, name: str, process: psutil.Process) -> None:
        self._processes[name] = process
        write_document(self._pid_file(name), {"pid": process.pid, "create_time": process.create_time()})

    def _exit_status(self, process: psutil.Process) -> str | None:
        """How `process` ended; None while it lives."""
        if process.pid in self._children:
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                return "ended"
            return None if pid == 0 else _in_words(os.waitstatus_to_exitcode(status))
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return "ended"
        with contextlib.suppress(ChildProcessError):  # a child of ours if another table of this process started it
            os.waitpid(process.pid, os.WNOHANG)
        return "ended"

    def _mark(self, name: str) -> str:
        return f"{self._run_dir}//{name}"

    def _pid_file(self, name: str) -> Path:
        return self._run_dir / "processes" / f"{name}.json"


def _recorded(file: Path) -> psutil.Process | None:
    """The living process that a pid file speaks of; None if it is gone, its pid is another's, or the file is bad."""
    try:
        document = read_document(file) or {}
        process = psutil.Process(int(str(document["pid"])))
        same = abs(process.create_time() - float(str(document["create_time"]))) < _CLOCK_STEP_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, ValueError, psutil.Error):
        return None


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):  # gone, or another user's
        return ""


def _in_words(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
