"""`python -m orchestrator.runtime.observability.metrics docs/metrics.md`: renews its tables, as `make metrics` does."""

import sys
from pathlib import Path

from orchestrator.runtime.observability.metrics.document import renewed


def main(path: Path) -> None:
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
