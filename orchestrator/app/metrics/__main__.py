"""Renews the tables in a document: `python -m orchestrator.app.metrics docs/metrics.md`, as `make metrics` does."""

import sys
from pathlib import Path

from orchestrator.app.metrics.document import renewed


def main(path: Path) -> None:
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
