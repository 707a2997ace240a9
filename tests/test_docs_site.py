"""The documentation as a site: MkDocs builds it without a warning, it fetches nothing, links lead somewhere."""

import html.parser
import os
import pathlib
import re
import runpy
import subprocess
import sys
import urllib.parse

import pytest
from pymdownx.slugs import slugify

import slimft

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *(ROOT / folder / "README.md" for folder in ("checkpoints", "tests/fuzz", "tests/fuzz/attacks")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_CODE = re.compile(r"^ *```.*?^ *```|^    .*?$|``.+?``|`[^`]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
# Elements that a browser fetches by themselves, and where from.
_FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
_slug = slugify(case="lower")


def anchors_of(page):
    """What GitHub calls the headings of a page, in links to them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    found = [_slug(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", ""), "-") for heading in headings]
    return {name for name in found if found.count(name) == 1}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    lost = []
    for target in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if urllib.parse.urlsplit(target).scheme:
            assert target.startswith(("https://", "http://")), target
            continue
        file = (page.parent / path).resolve() if path else page
        there = file.exists() and file.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors_of(file)):
            lost.append(target)
    assert lost == []


def test_the_page_of_flags_is_that_of_the_commands():
    made = runpy.run_path(str(ROOT / "docs" / "make_flags.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run docs/make_flags.py"
    sections = re.findall(r"^## (\w+)$", made["page"](), re.MULTILINE)
    assert sections == sorted(file.name for file in (ROOT / "bin").iterdir())


class Fetches(html.parser.HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        if tag in _FETCHED and told.get(_FETCHED[tag]) and told.get("rel") != "canonical":
            self.addresses.append(told[_FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the site."""
    folder = tmp_path_factory.mktemp("site")
    # Without a network: a proxy that is not there.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


def test_the_site_fetches_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for address in Fetches(text).addresses:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme == "data" or page.name == "404.html":  # Its addresses begin at the site's root.
                continue
            assert not parts.scheme and not parts.netloc, f"{page.name} fetches {address}"
            assert (page.parent / parts.path).exists(), f"{page.name} names {address}, which is not there"
        # What would make the theme's script fetch more.
        assert 'class="mermaid"' not in text and "data-md-source" not in text
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8"))


def test_the_site_has_every_public_name(site):
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in slimft.__all__:
        assert name == "__version__" or f"slimft.{name}" in text
    assert "::: slimft" not in text


def test_links_of_the_repository_become_those_of_the_site(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="quickstart.html"' in text and 'src="images/report.png"' in text
    assert '<a href="project/changelog.html">' in text and '<a href="official_checkpoints.html">' in text
    # What is called as its file has the title of its page, and what the site lacks is no link.
    assert '<a href="restore.html">Restoring checkpoints</a>' in (site / "api.html").read_text(encoding="utf-8")
    for page in site.rglob("*.html"):
        assert not re.search(r'href="[^":]*\.(md|py)[#"]', page.read_text(encoding="utf-8")), page.name
