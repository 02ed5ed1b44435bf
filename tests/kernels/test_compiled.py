"""What is compiled is compiled anew just where what it was made from has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.compiled import files_read, forget_stale, stamp

SOURCES = Path(orchestrator.__file__).parent
KERNELS = ("optimizer/kernels", "dispatch/kernels")
FROM_ELSEWHERE = {"compiled.py", "dispatch/anti_cycling.py", "domain/sla.py", "domain/units.py", "observe/phase.py"}
"""What kernels may import besides their own package: what seldom changes, and imports nothing of ours."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(SOURCES, tmp_path_factory.mktemp("sources") / "orchestrator"))


def test_all_that_is_compiled_is_in_packages_of_kernels() -> None:
    holders = {
        file.parent.relative_to(SOURCES).as_posix()
        for file in SOURCES.rglob("*.py")
        if file.name != "compiled.py" and "\n@compiled\n" in file.read_text()
    }
    assert holders == set(KERNELS)


@pytest.mark.parametrize("package", KERNELS)
def test_kernels_read_little_besides_themselves(package: str) -> None:
    read = {file.relative_to(SOURCES).as_posix() for file in files_read(SOURCES / package)}
    assert {name for name in read if not name.startswith(f"{package}/")} <= FROM_ELSEWHERE
    assert {f"{package}/{file.name}" for file in (SOURCES / package).glob("*.py")} <= read


@pytest.mark.parametrize(
    ("touched", "anew"),
    [
        ("optimizer/plan.py", set()),
        ("optimizer/problem.py", set()),
        ("dispatch/moves.py", set()),
        ("dispatch/merit_order.py", set()),
        ("explain/reasons.py", set()),
        ("optimizer/kernels/rack_dp.py", {"optimizer/kernels"}),
        ("optimizer/kernels/arrays.py", {"optimizer/kernels"}),
        ("dispatch/kernels/table.py", {"dispatch/kernels"}),
        ("observe/phase.py", {"dispatch/kernels"}),
        ("dispatch/anti_cycling.py", {"dispatch/kernels"}),
        ("compiled.py", set(KERNELS)),
    ],
)
def test_a_comment_compiles_only_what_reads_it(copied: Path, touched: str, anew: set[str]) -> None:
    before = {package: stamp(copied / package) for package in KERNELS}
    with (copied / touched).open("a") as file:
        file.write("# a comment\n")
    assert {package for package in KERNELS if stamp(copied / package) != before[package]} == anew


def test_the_copy_has_the_stamp_of_what_it_is_a_copy_of(copied: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(SOURCES, tmp_path / "orchestrator"))
    for package in KERNELS:
        assert stamp(again / package) == stamp(SOURCES / package)


def test_what_was_made_of_other_sources_is_forgotten_and_the_rest_kept(tmp_path: Path) -> None:
    for name in ("walk.walk-1.py311.nbi", "walk.other-9.py311.nbi", "table.table-1.py311.nbi"):
        (tmp_path / name).touch()
    (tmp_path / "table.sources").write_text("now")
    forget_stale(tmp_path, "walk", "now")
    forget_stale(tmp_path, "table", "now")
    assert [file.name for file in tmp_path.glob("*.nbi")] == ["table.table-1.py311.nbi"]
    (tmp_path / "walk.walk-1.py311.nbi").touch()
    forget_stale(tmp_path, "walk", "now")
    assert (tmp_path / "walk.walk-1.py311.nbi").exists()
    forget_stale(tmp_path, "walk", "later")
    assert not (tmp_path / "walk.walk-1.py311.nbi").exists()


def test_machine_code_is_kept_by_that_stamp_even_if_numba_was_there_first() -> None:
    code = """
import numba
from orchestrator.compiled import BesideSource
from orchestrator.optimizer.kernels.rack_dp import rack_programme
print(isinstance(rack_programme._cache._impl.locator, BesideSource))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
    told = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout == "True\n"
