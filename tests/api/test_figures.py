"""Results that print well, and what a notebook shows of them."""

import copy
import html.parser
import json
import pickle

import pytest

from slimft.api import figures
from slimft.api.figures import Figures


class Frames(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.others = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.others.append(data)


def test_it_is_a_dictionary():
    plain = {"accuracy": 0.5, "step": 7, "per_class": [{"class": "a"}], "none": None}
    made = Figures(plain)
    assert made == plain and json.dumps(made) == json.dumps(plain) and {**made} == plain
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == plain
    assert made._repr_html_() is None  # There is no report: what repr gives is shown.


def test_its_table_is_short_and_escaped():
    made = Figures(
        model="vgg\x1b[31m",
        accuracy=0.97512,
        loss=1e-5,
        rate=1234.56,
        step=12345,
        yes=True,
        none=None,
        per_class=[{"class": "a"}] * 1000,
    )
    assert str(made) == repr(made)
    rows = dict(line.split(None, 1) for line in str(made).splitlines())
    assert rows.pop("per_class").startswith("[{'class': 'a'}, ")
    assert rows == {
        "model": r"vgg\x1b[31m",
        "accuracy": "0.9751",
        "loss": "1e-05",
        "rate": "1,234.6",
        "step": "12,345",
        "yes": "True",
        "none": "-",
    }
    assert max(map(len, str(made).splitlines())) < 250 and repr(Figures()) == ""


def test_a_notebook_shows_the_report_and_runs_nothing(tmp_path):
    page = '<!DOCTYPE html><p title="a">é</p><script>alert("&amp;")</script></iframe><b>out</b>'
    file = tmp_path / 'report"><script>.html'
    file.write_text(page, encoding="utf-8")
    shown = Frames(Figures(report=str(file))._repr_html_())
    assert [name for name, _ in shown.tags] == ["iframe"] and not shown.others
    attributes = shown.tags[0][1]
    assert attributes["srcdoc"] == page and attributes["sandbox"] == ""


@pytest.mark.parametrize("report", ["missing.html", None, 7, "a\0b"])
def test_without_a_report_the_table_is_shown(report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Figures(report=report)._repr_html_() is None


def test_a_report_that_is_too_large_is_not_embedded(tmp_path, monkeypatch):
    file = tmp_path / "report.html"
    file.write_text("x" * 100)
    assert Figures(report=str(file))._repr_html_()
    monkeypatch.setattr(figures, "_MOST_BYTES", 99)
    assert Figures(report=str(file))._repr_html_() is None
