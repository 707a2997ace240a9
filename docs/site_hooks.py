"""What MkDocs does with the pages beside rendering them: see `hooks` in mkdocs.yml.

Links in the pages are those of the repository, so that they also work where its files are read. Here the pages that
lie outside docs/ come in, links lead to where these are in the site, and the page on the library is made from what
`slimft` says is public.
"""

from __future__ import annotations

import functools
import pathlib
import posixpath
import re
import sys

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The repository's pages outside docs/, and what they are called in the site.
PAGES = {
    "README.md": "index.md",
    "checkpoints/README.md": "official_checkpoints.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
_SOURCES = {page: source for source, page in PAGES.items()}
# A block of code, or a link or picture with its target.
_LINK = re.compile(r"^ *```.*?^ *```|(!?\[[^\]]*\])\(([^()\s]+)\)", re.MULTILINE | re.DOTALL)
# How long the commands below take: see CONTRIBUTING.md.
_TIME = re.compile(r"^(\*Times?: [^*\n]+\*)$", re.MULTILINE)
_ABOUT_PYTHON = """# Python, from the code

What `slimft` makes public, with the signatures and docstrings of the code. How to use it is in
[the library](../api.md), which also says what stays as it is. The keywords of `slimft.finetune` are
[the flags of `bin/finetune`](flags.md#finetune), and the fields of `slimft.Settings`.
"""


def on_files(files, config):
    """Adds the pages that lie outside docs/, and the one on the library."""
    texts = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in PAGES.items()}
    for page, text in {**texts, "reference/python.md": python_page()}.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Makes links of the repository lead to where the files are in the site, and times small."""
    place = page.file.src_uri
    source = _SOURCES.get(place, f"docs/{place}")
    markdown = _LINK.sub(lambda found: _link(found[1], found[2], source, place) if found[1] else found[0], markdown)
    return _TIME.sub(r"\1\n{: .time }", markdown)


def on_page_content(html, page, config, files):
    """Marks flags, so that no line breaks behind their dashes: see images/site.css."""
    return re.sub(r"<code>(--\w+(?:=[^<\s]{0,12})?)</code>", r'<code class="flag">\1</code>', html)


def _link(text: str, target: str, source: str, place: str) -> str:
    """A link of the repository's file `source`, as the page `place` has it; text alone if it leads elsewhere."""
    path, hash_mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return f"{text}({target})"
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / file).exists():
        return f"{text}({target})"  # Which MkDocs says.
    page = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if page is None:
        return text[1:-1]
    if page.endswith(".md") and text[1:-1] in (path, file, posixpath.basename(file)):
        text = f"[{_title(file)}]"
    return f"{text}({posixpath.relpath(page, posixpath.dirname(place) or '.')}{hash_mark}{anchor})"


@functools.cache
def _title(file: str) -> str:
    """The first heading of a page of the repository."""
    return re.search(r"^# (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)[1]


def python_page() -> str:
    """The page on the library: a heading for each public name and module, which mkdocstrings fills."""
    sys.path.insert(0, str(ROOT))
    try:
        import slimft
    finally:
        sys.path.remove(str(ROOT))
    lines = [_ABOUT_PYTHON, "## Functions and classes\n"]
    for name, module in slimft._WHERE.items():
        lines.append(_entry(f"{module}.{name}", f"slimft.{name}"))
    lines.append("## Modules\n")
    lines += [_entry(f"slimft.{name}", f"slimft.{name}") for name in slimft._MODULES]
    return "\n".join(lines)


def _entry(path: str, heading: str) -> str:
    label = heading.removeprefix("slimft.")
    return f"::: {path}\n    options:\n      heading: {heading}\n      toc_label: {label}\n"
