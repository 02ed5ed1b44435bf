"""Processes of a run directory: one of each id, whoever started it, and none left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from orchestrator.adapters.workloads.processes.process_table import ProcessTable

SLEEPER = ("-c", "import time; time.sleep(600)")
STUBBORN = (
    "-c",
    "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path('{ready}').touch(); time.sleep(600)",
)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[ProcessTable]:
    made = ProcessTable(tmp_path)
    yield made
    await ProcessTable(tmp_path).stop_all(deadline_s=0.0)
    await made.stop_all(deadline_s=0.0)


def pid_file(run_dir: Path, name: str) -> Path:
    return run_dir / "processes" / f"{name}.json"


async def ended(table: ProcessTable, name: str) -> None:
    deadline = time.monotonic() + 60.0
    while table.alive(name):
        assert time.monotonic() < deadline, f"{name} did not end in 60 s"
        await asyncio.sleep(0.01)


async def test_a_process_is_started_once(table: ProcessTable, tmp_path: Path) -> None:
    pid = table.start("rack", SLEEPER)
    assert table.start("rack", SLEEPER) == pid
    assert table.names() == ("rack",)
    document = json.loads(pid_file(tmp_path, "rack").read_text())
    assert document == {"pid": pid, "create_time": psutil.Process(pid).create_time()}


async def test_a_process_has_a_session_of_its_own_and_a_log(table: ProcessTable, tmp_path: Path) -> None:
    pid = table.start("rack", ("-c", "print('listening'); import time; time.sleep(600)"))
    assert os.getsid(pid) == pid
    deadline = time.monotonic() + 60.0
    while table.last_log_line("rack") != "listening":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert (tmp_path / "logs" / "rack.log").read_text() == "listening\n"


async def test_the_living_are_adopted(table: ProcessTable, tmp_path: Path) -> None:
    pid = table.start("rack", SLEEPER)
    again = ProcessTable(tmp_path)
    assert again.pid("rack") == pid
    assert again.start("rack", SLEEPER) == pid


async def test_one_started_just_before_its_controller_died_is_found_without_a_pid_file(
    table: ProcessTable, tmp_path: Path
) -> None:
    pid = table.start("rack", SLEEPER)
    pid_file(tmp_path, "rack").unlink()
    again = ProcessTable(tmp_path)
    assert again.start("rack", SLEEPER) == pid
    assert json.loads(pid_file(tmp_path, "rack").read_text())["pid"] == pid


async def test_processes_of_another_run_directory_are_left_alone(table: ProcessTable, tmp_path: Path) -> None:
    table.start("rack", SLEEPER)
    other = ProcessTable(tmp_path / "other")
    assert other.names() == ()
    await other.stop_all(deadline_s=0.0)
    assert table.alive("rack")


@pytest.mark.parametrize("text", ['{"pid": %d, "create_time": 12345.0}', "not json", "{}", '{"pid": 4194305000}'])
async def test_a_pid_file_of_no_process_of_ours_is_cleared_away(tmp_path: Path, text: str) -> None:
    file = pid_file(tmp_path, "rack")
    file.parent.mkdir()
    file.write_text(text.replace("%d", str(os.getpid())))
    table = ProcessTable(tmp_path)
    assert not table.alive("rack")
    assert not file.exists()


async def test_a_killed_process_is_dead_and_can_be_started_again(table: ProcessTable, tmp_path: Path) -> None:
    pid = table.start("rack", SLEEPER)
    os.kill(pid, signal.SIGKILL)
    await ended(table, "rack")
    assert table.exit_status("rack") == "killed by SIGKILL"
    assert not pid_file(tmp_path, "rack").exists()
    assert table.start("rack", SLEEPER) != pid


async def test_an_adopted_process_that_ends_is_dead(table: ProcessTable, tmp_path: Path) -> None:
    pid = table.start("rack", SLEEPER)
    again = ProcessTable(tmp_path)
    os.kill(pid, signal.SIGKILL)
    await ended(again, "rack")


async def test_an_exit_status_is_told(table: ProcessTable) -> None:
    table.start("job", ("-c", "raise SystemExit(3)"))
    await ended(table, "job")
    assert table.exit_status("job") == "exit status 3"


async def test_stop_asks_first_and_then_kills(table: ProcessTable, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    stubborn = table.start("stubborn", [text.replace("{ready}", str(ready)) for text in STUBBORN])
    polite = table.start("polite", SLEEPER)
    deadline = time.monotonic() + 60.0
    while not ready.exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await table.stop(("stubborn", "polite", "nobody"), deadline_s=0.3)
    assert table.names() == ()
    assert table.exit_status("polite") == "killed by SIGTERM"
    assert table.exit_status("stubborn") == "killed by SIGKILL"
    assert not psutil.pid_exists(stubborn)
    assert not psutil.pid_exists(polite)


async def test_a_stopped_process_is_killed_too(table: ProcessTable) -> None:
    pid = table.start("hung", SLEEPER)
    os.kill(pid, signal.SIGSTOP)
    await table.stop_all(deadline_s=0.1)
    assert not psutil.pid_exists(pid)


def test_a_controller_killed_with_kill_9_leaves_processes_that_the_next_one_adopts(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from orchestrator.adapters.workloads.processes.process_table import ProcessTable\n"
        "table = ProcessTable(Path(sys.argv[1]))\n"
        "print(*[table.start(f'rack-{n}', ('-c', 'import time; time.sleep(600)')) for n in range(3)], flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as controller:
        assert controller.stdout is not None
        pids = [int(word) for word in controller.stdout.readline().split()]
        controller.kill()
    table = ProcessTable(tmp_path)
    try:
        assert [table.start(f"rack-{number}", SLEEPER) for number in range(3)] == pids
    finally:
        asyncio.run(table.stop_all(deadline_s=10.0))
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)
