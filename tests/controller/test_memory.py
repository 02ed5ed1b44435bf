"""Memory that is given back once the compiler has done its work."""

import subprocess
import sys

import pytest

LOOKED_AT = """
from pathlib import Path
from numba import njit
from orchestrator.runtime.memory import COMPILER, give_back

def resident_kb():
    kb, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, *rest = line.split()
        if "-" in key and not key.endswith(":"):
            ours = COMPILER in line
        elif ours and key == "Rss:":
            kb += int(rest[0])
    return kb

one = njit(lambda number: number + 1)
one(1)
before = resident_kb()
give_back()
after = resident_kb()
assert one(1) == 2, "what is compiled runs on"
assert njit(lambda number: number + 2)(1) == 3, "and more can be compiled"
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is given back on Linux alone")
def test_the_compilers_pages_are_given_back_and_it_still_works() -> None:
    result = subprocess.run([sys.executable, "-c", LOOKED_AT], capture_output=True, text=True, check=True)
    before_kb, after_kb = map(int, result.stdout.split())
    assert before_kb > 30_000
    assert after_kb < 0.1 * before_kb
