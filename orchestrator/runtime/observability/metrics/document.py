"""The table of families as a section of `docs/metrics.md`, between two marks in it; the prose around it is by hand."""

from orchestrator.runtime.observability.metrics.all_families import SECTIONS
from orchestrator.runtime.observability.metrics.family import Family

BEGIN = "<!-- What follows, up to the end mark, is made by `make metrics`. -->"
END = "<!-- end of what is made -->"


def tables() -> str:
    """Every family with its kind, labels and meaning, section by section, in Markdown."""
    parts = []
    for title, families in SECTIONS:
        rows = "\n".join(_row(family) for family in families)
        parts.append(f"### {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def renewed(document: str) -> str:
    """The document with its tables as they are now. ValueError where it lacks the marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for the tables, between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _row(family: Family) -> str:
    labels = "; ".join(
        f"`{label.name}`" + (f": {', '.join(label.values)}" if label.values else "") for label in family.labels
    )
    meaning = family.help.replace("|", "\\|")
    if family.buckets:
        meaning += f" Buckets up to {', '.join(f'{bound:g}' for bound in family.buckets)} s."
    return f"| `{family.name}` | {family.kind.value} | {labels} | {meaning} |"
