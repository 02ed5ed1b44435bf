"""Figures and tables as HTML. Text is escaped wherever it is not Markup already."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

Number = float | Decimal
NOTHING = "\u2013"
MARKED = ' class="marked"'
MINUS = "\u2212"


class Markup(str):
    """HTML that is safe as it is."""

    __slots__ = ()


def markup(value: str) -> Markup:
    """`value` as HTML: escaped, unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(html.escape(value, quote=True))


def strong(value: str) -> Markup:
    return Markup(f"<strong>{markup(value)}</strong>")


def unbroken(name: str) -> Markup:
    """A name that is not broken at its hyphens."""
    return Markup(f"<span class='name'>{markup(name)}</span>")


def joined(*parts: str) -> Markup:
    return Markup("".join(markup(part) for part in parts))


def number(value: Number | None, digits: int = 0) -> str:
    """With thousands separators and a true minus sign."""
    if value is None:
        return NOTHING
    figure = float(value)
    text = f"{abs(figure):,.{digits}f}"
    return text if figure >= 0 or not text.strip("0.,") else MINUS + text


def signed(value: Number | None, digits: int = 0) -> str:
    """A difference: +1,200 or its opposite."""
    if value is None:
        return NOTHING
    text = number(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def percent(share: float | None, digits: int = 1) -> str:
    return NOTHING if share is None else f"{number(share * 100.0, digits)}\u00a0%"


def usd_in_words(value: Number) -> str:
    """For a sentence: `14.20 million USD`, `812,400 USD`."""
    if abs(float(value)) >= 1e6:
        return f"{number(float(value) / 1e6, 2)}\u00a0million\u00a0USD"
    return f"{number(value)}\u00a0USD"


@dataclass(frozen=True, slots=True)
class Head:
    """A column of a table."""

    name: str
    unit: str = ""
    text: bool = False
    """Words, to the left; else figures, to the right."""


def table(
    caption: str, heads: Sequence[Head], rows: Sequence[Sequence[str]], *, marked: int = -1, foot: int = 0
) -> Markup:
    """A table whose first column heads its rows; `marked` is the row to set off, the last `foot` rows are sums."""
    top = "".join(
        f'<th scope="col"{_side(head)}>{markup(head.name)}'
        + (f"<small>{markup(head.unit)}</small>" if head.unit else "")
        + "</th>"
        for head in heads
    )
    body = [_row(heads, row, marked=at == marked) for at, row in enumerate(rows)]
    sums = f"<tfoot>{''.join(body[len(body) - foot :])}</tfoot>" if foot else ""
    return Markup(
        f'<div class="wide"><table><caption>{markup(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body[: len(body) - foot])}</tbody>{sums}</table></div>"
    )


def _row(heads: Sequence[Head], row: Sequence[str], *, marked: bool) -> str:
    cells = [f"<td{_side(head)}>{markup(cell)}</td>" for head, cell in zip(heads, row, strict=True)]
    cells[0] = f'<th scope="row">{markup(row[0])}</th>'
    return f"<tr{MARKED if marked else ''}>{''.join(cells)}</tr>"


def _side(head: Head) -> str:
    return ' class="text"' if head.text else ""


def items(lines: Sequence[str]) -> Markup:
    """A list of sentences."""
    return Markup(f"<ul>{''.join(f'<li>{markup(line)}</li>' for line in lines)}</ul>")


def section(key: str, title: str, *parts: str) -> Markup:
    return Markup(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{markup(title)}</h2>'
        f"{''.join(markup(part) for part in parts)}</section>"
    )


def paragraph(*parts: str) -> Markup:
    return Markup(f"<p>{joined(*parts)}</p>")


def chart(key: str, label: str, *, title: str = "") -> Markup:
    """A place for the page's script to draw in; `label` is read out, `title` is shown above."""
    above = f"<h3>{markup(title)}</h3>" if title else ""
    return Markup(
        f'<figure>{above}<div class="chart" id="{key}-chart" role="img" aria-label="{markup(label)}"></div></figure>'
    )
