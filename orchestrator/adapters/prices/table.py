"""A CSV file as text cells with their line numbers."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.text import read_text


@dataclass(frozen=True, slots=True)
class Table:
    """Header and rows; each row has as many cells as the header, stripped of blanks around them."""

    header: tuple[str, ...]
    rows: Sequence[tuple[int, list[str]]]
    """Line number and cells."""
    complete: bool
    """False where rows had to be left out."""

    def index(self, column: str) -> int:
        return self.header.index(column)


def read_table(path: Path, faults: Faults) -> Table | None:
    """The CSV file at `path` (UTF-8, with or without BOM, any line ends), or None with the reason in `faults`.

    Lines before the header that start with `#` and blank lines at the end are left out. Rows with another number
    of cells than the header are faults and left out.
    """
    text = read_text(path, faults, "a CSV file")
    if text is None:
        return None
    lines = text.splitlines(keepends=True)
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].startswith("#")):
        skipped += 1
    reader = csv.reader(lines[skipped:], strict=True)
    found: list[tuple[int, list[str]]] = []
    line = skipped + 1  # the first of a row, which goes on where a quoted cell has line ends in it
    try:
        for cells in reader:
            found.append((line, [cell.strip() for cell in cells]))
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        last = skipped + reader.line_num
        # A quote that nobody closes swallows all lines up to the next one, the reader's limit or the end.
        problem = str(error) if last == line else f"a quoted cell goes on to line {last}, and then {error}"
        faults.add(f"is not CSV ({problem})", "comma-separated cells, and quotes that are closed", line=line)
        return None
    while found and not any(found[-1][1]):
        found.pop()
    if not found:
        faults.add("is empty", "a header line and rows")
        return None
    header_line, header = found[0]
    for name in sorted({name for name in header if name and header.count(name) > 1}):
        faults.add("stands in the header more than once", "each column once", line=header_line, column=name)
        return None
    if len(found) == 1:
        faults.add("has a header and no rows", "a header line and rows", line=header_line)
        return None
    rows: list[tuple[int, list[str]]] = []
    for line, cells in found[1:]:
        if len(cells) == len(header):
            rows.append((line, cells))
        else:
            cut = ",".join(cells)
            faults.add(f"has {len(cells)} cells", f"{len(header)}, as the header", line=line, value=cut)
    return Table(header=tuple(header), rows=rows, complete=len(rows) == len(found) - 1)
