"""Whatever is done to a site file: it is a valid one, or each error says where."""

import copy
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestrator.settings import Settings, SettingsError, load_settings

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE: dict[str, Any] = YAML(typ="safe").load((EXAMPLES / "texas-100mw.yaml").read_text(encoding="utf-8"))


def paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in items for path in ((*at, key), *paths(item, (*at, key)))]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400, -(10**25), float("nan"), float("inf"), float("-inf"), 1e308, -0.0, 5e-324]),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "normal", "north", "sleep", "../..", "/", "UTC", "a\x00b", "x" * 500, "file", "2023-13-45"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def mutated(data: st.DataObject) -> Any:
    document = copy.deepcopy(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(document)))
        holder: Any = document
        for part in path[:-1]:
            holder = holder[part]
        match data.draw(st.sampled_from(["drop", "replace", "add", "repeat"])):
            case "drop":
                del holder[path[-1]]
            case "replace":
                holder[path[-1]] = data.draw(ODD)
            case "add" if isinstance(holder, dict):
                holder[data.draw(st.text(max_size=8))] = data.draw(ODD)
            case _ if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))  # type: ignore[index]  # a list's path ends in an int
        if not paths(document):
            break
    return document


def loaded(folder: Path, text: str) -> Settings | SettingsError:
    for file in EXAMPLES.glob("*.csv"):
        if not (folder / file.name).exists():
            shutil.copy(file, folder)
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return load_settings(path, {})
    except SettingsError as error:
        return error


def assert_says_where(result: Settings | SettingsError, lines: int) -> None:
    if isinstance(result, Settings):
        return
    assert result.problems
    for problem in result.problems:
        assert problem.line is not None
        assert 1 <= problem.line <= lines + 1
        assert problem.key
        assert problem.value
        assert problem.allowed
        assert "\n" not in str(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_value_never_crashes(folder: Path, data: st.DataObject) -> None:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(mutated(data), stream)
    text = stream.getvalue()
    assert_says_where(loaded(folder, text), len(text.splitlines()))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_text_never_crashes(folder: Path, data: st.DataObject) -> None:
    text = (EXAMPLES / "texas-100mw.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    put = data.draw(st.one_of(st.text(max_size=10), st.text(alphabet="{}[]:-,&*!|>'\"%@#? \n\t0", max_size=6)))
    text = text[:start] + put + text[end:]
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text
    assert_says_where(loaded(folder, text), len(text.splitlines()) + 1)
