"""Markup against html.parser."""

import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimft.report.markup import Html, escape, join, table, tag
from slimft.report.texts import folder_of_data


def parsed(source):
    """The elements and the text that a parser finds in `source`."""
    elements, texts = [], []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, name, attributes):
            elements.append((name, attributes))

        def handle_data(self, data):
            texts.append(data)

    parser = Parser()
    parser.feed(source)
    parser.close()
    return elements, "".join(texts)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])), st.text(st.characters()))
def test_text_stays_text(text, anything):
    shown = text if text.isprintable() else None
    elements, found = parsed(tag("p", text, title=text))
    assert [name for name, _ in elements] == ["p"]
    if shown is not None:
        assert found == text and elements[0][1] == [("title", text)]
    escape(anything).encode()  # Lone surrogates too.
    assert parsed(tag("p", anything, title=anything))[0] == parsed(tag("p", escape(anything), title=anything))[0]


def test_what_cannot_be_seen_is_shown():
    assert escape("a\u202eb\x00\ud800") == "a\\u202eb\\x00\\ud800"
    assert escape("two\nlines") == "two\nlines"


def test_join_and_table():
    assert join("<", Html("<br>"), None, ["&", 3]) == "&lt;<br>&amp;3"
    elements, text = parsed(table(["a", "b"], [["x", 1], [tag("td", "y"), tag("td", 2, class_="n best")]]))
    assert [name for name, _ in elements].count("td") == 4 and text == "abx1y2"
    assert ("td", [("class", "n best")]) in elements


@pytest.mark.parametrize(
    "data_dir, folder", [("/data/cells", "/data/cells"), ("/data/cells.csv", "/data"), ("list.TSV", ""), (None, "")]
)
def test_names_begin_with_the_folder_of_the_data(data_dir, folder):
    assert folder_of_data(data_dir) == folder
