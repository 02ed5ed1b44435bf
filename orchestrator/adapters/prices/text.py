"""A file as text in UTF-8."""

from pathlib import Path

from orchestrator.adapters.prices.faults import Faults


def read_text(path: Path, faults: Faults, what: str) -> str | None:
    """The text of the file at `path`, `what` it should be, or None with the reason in `faults`."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        faults.add("does not exist", f"the path of {what}")
    except IsADirectoryError:
        faults.add("is a directory", f"the path of {what}")
    except OSError as error:
        faults.add(f"cannot be read ({error.strerror})", f"{what} that can be read")
    else:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            faults.add("is not UTF-8", "text in UTF-8", line=line, value=repr(raw[error.start : error.start + 4]))
    return None
