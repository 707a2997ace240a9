"""HTML that is escaped unless it says otherwise, and the page around it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from slimft.report.style import STYLE

# Nothing is fetched and nothing runs: what a name or a picture brings along can only be looked at.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_VOID = ("meta", "img", "br")


# The standard library escapes; markupsafe would only save this class, and be one more package to install.
class Html(str):
    """Markup. Any other string is text, and is escaped where it becomes part of markup."""


def escape(text: object) -> Html:
    """`text` as markup that shows it; what cannot be seen, or turns the text's direction, becomes an escape."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(
            c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in shown
        )
    return Html(html.escape(shown))


def join(*parts) -> Html:
    """The parts one after the other, those escaped that are no markup; None is nothing, iterables are flattened."""
    pieces = []
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str) or not isinstance(part, Iterable):
            pieces.append(part if isinstance(part, Html) else escape(part))
        else:
            pieces.append(join(*part))
    return Html("".join(pieces))


def tag(name: str, /, *children, **attributes) -> Html:
    """An element.

    Args:
        name: its tag's name.
        children: as of `join`.
        attributes: a trailing underscore is dropped, others become hyphens; None leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def table(header: Sequence, rows: Iterable[Sequence], left: int = 1, css: str | None = None) -> Html:
    """A table that scrolls by itself where the window is narrow.

    Args:
        header: the columns' titles.
        rows: their cells; one that is an element `td` or `th` already is taken as it is.
        left: how many columns, from the first on, are aligned left; the others hold figures.
        css: a class of the table.
    """

    def cell(kind, column, content):
        if isinstance(content, Html) and content.startswith(("<td", "<th")):
            return content
        return tag(kind, content, class_=None if column < left else "n")

    head = tag("thead", tag("tr", [cell("th", column, title) for column, title in enumerate(header)]))
    body = tag("tbody", [tag("tr", [cell("td", i, content) for i, content in enumerate(row)]) for row in rows])
    return tag("div", tag("table", head, body, class_=css), class_="scroll")


def folded(summary: str, *content) -> Html:
    """Content that is shown when asked for."""
    return tag("details", tag("summary", summary), *content)


def section(title: str, *content) -> Html:
    """A part of the page under its heading."""
    return tag("section", tag("h2", title), *content)


def tiles(figures: Iterable[tuple[str, str, object]]) -> Html:
    """Figures in a row: what each is, its value, and a note below."""
    return tag(
        "dl",
        [
            tag("div", tag("dt", what), tag("dd", value), tag("dd", note, class_="note") if note else None)
            for what, value, note in figures
        ],
        class_="tiles",
    )


def document(title: str, *body) -> Html:
    """The whole page; it needs nothing but itself."""
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html(f'<!DOCTYPE html>\n<html lang="en">{head}{tag("body", tag("main", *body))}</html>\n')
