"""A YAML file as plain values, with the line of every key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Where a value is: keys and list indexes from the top."""

MOST_VALUES = 100_000
"""Aliases can make a short file a huge one; past this it is refused."""

_CORE = "tag:yaml.org,2002:"
_TYPED = {f"{_CORE}{name}" for name in ("null", "bool", "int", "float")}
_PLAIN = {f"{_CORE}{name}" for name in ("str", "timestamp", "merge", "value", "map", "seq")}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the YAML itself."""

    line: int
    path: Path
    value: str
    allowed: str


@dataclass(frozen=True, slots=True)
class Document:
    """`value` is made of dict, list, str, int, float, bool and None; `lines` count from 1."""

    value: object
    lines: Mapping[Path, int]
    faults: tuple[Fault, ...]

    def line(self, path: Path) -> int:
        """Line of the key or list item at `path`, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Document:
    """Reads one YAML 1.2 document. A file that is not YAML has no value and one fault."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(StringIO(text))
        walk = _Walk(yaml)
        value = walk.build(node, ()) if node is not None else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        return _unreadable(text, line, str(error.problem or error.context))
    except YAMLError as error:  # a character that YAML does not allow
        position = getattr(error, "position", 0)
        return _unreadable(text, text.count("\n", 0, position) + 1, str(getattr(error, "reason", error)))
    except RecursionError:
        return _unreadable(text, 1, "values nested too deep")
    except _TooLargeError:
        return _unreadable(text, 1, f"aliases that make more than {MOST_VALUES} values")
    return Document(value, walk.lines, tuple(walk.faults))


def _unreadable(text: str, line: int, problem: str) -> Document:
    lines = text.splitlines()
    shown = lines[line - 1].strip()[:60] if 0 < line <= len(lines) else "the end of the file"
    fault = Fault(line, (), _printable(shown) or "an empty line", f"YAML; {_printable(problem)}")
    return Document(None, {(): line}, (fault,))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


class _TooLargeError(Exception):
    pass


class _Walk:
    """From YAML's nodes to values, noting lines, and all keys that are there twice rather than the first."""

    def __init__(self, yaml: YAML) -> None:
        self.lines: dict[Path, int] = {}
        self.faults: list[Fault] = []
        self._constructor = yaml.constructor
        self._seen = 0

    def build(self, node: Node, path: Path) -> object:
        self._seen += 1
        if self._seen > MOST_VALUES:
            raise _TooLargeError
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _TYPED | _PLAIN:
            self._fault(node, path, _printable(str(node.tag)), "a value without a !tag")
            return None
        if isinstance(node, MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode), "YAML has no fourth kind of node"
        return self._scalar(node, path)

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._fault(key_node, path, "a list or mapping as a key", "a word as a key")
                continue
            key = str(key_node.value)
            if key in first_lines:
                self._fault(key_node, (*path, key), "the key again", f"each key once; first on line {first_lines[key]}")
                continue
            first_lines[key] = line
            self.lines[(*path, key)] = line
            yield key, self.build(value_node, (*path, key))

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        if node.tag not in _TYPED:
            return str(node.value)  # dates too: the site file has none
        try:
            return self._constructor.construct_object(node)
        except ValueError:
            self._fault(node, path, _printable(str(node.value)[:60]), "a number of a size that a computer can hold")
            return None

    def _fault(self, node: Node, path: Path, value: str, allowed: str) -> None:
        self.faults.append(Fault(node.start_mark.line + 1, path, value, allowed))
