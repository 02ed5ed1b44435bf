import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def example_path() -> Path:
    return EXAMPLES / "texas-100mw.yaml"


@pytest.fixture
def site_folder(tmp_path: Path) -> Path:
    """A folder with the data files that the example names."""
    for file in EXAMPLES.glob("*.csv"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def edited(site_folder: Path, example_path: Path) -> Callable[..., Path]:
    """The example with texts replaced, each of which must be there: `edited(("racks: 10", "racks: 0"))`."""

    def edit(*changes: tuple[str, str]) -> Path:
        text = example_path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"the example has no {old!r}"
            text = text.replace(old, new, 1)
        path = site_folder / "site.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return edit
