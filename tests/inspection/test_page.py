"""The page of what was found: what is on it, and how it looks in a real browser."""

import pathlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from slimft.cli.dataset import main

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a folder with copies in two splits, a broken file and a class whose name is markup."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 12), ("test", 6)):
        for name in ("dog", HOSTILE.replace("/", "")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
                noise.resize((300, 200), Image.Resampling.BICUBIC).save(folder / split / name / f"{number}.jpg")
    Image.open(folder / "train" / "dog" / "2.jpg").save(folder / "test" / "dog" / "2.jpg", quality=30)
    (folder / "train" / "dog" / "broken.jpg").write_bytes(b"\xff\xd8\xff" + rng.bytes(500))
    (folder / "train" / "dog" / ("long_" * 40 + ".jpg")).write_bytes(b"")
    file = tmp_path_factory.mktemp("page") / "data.html"
    assert main(["dataset", str(folder), f"--report={file}", "--sample=4"]) == 1
    return file


def test_what_is_on_it(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "Problems", "Classes", "Cannot be read", "Duplicates", "Sizes and files", "Samples",
    ]  # fmt: skip
    assert "<img src=x" not in text and "&lt;img src=x" in text
    assert "2 near duplicates, in train and test" in text and "train/dog/2.jpg" in text
    assert "dog/broken.jpg" in text and "2 of 38 images cannot be read" in text
    # A sample of 4 of each class, and the two that are the same.
    assert len(re.findall('<img src="data:image/jpeg;base64,', text)) == 2 * 4 + 2
    assert "http" not in re.sub('data:image[^"]*|http-equiv', "", text)


def test_the_sample_is_that_of_the_seed(page, tmp_path, capsys):
    folder = re.search("<h1>(.*?)</h1>", page.read_text(encoding="utf-8"))[1]
    again, other = tmp_path / "again.html", tmp_path / "other.html"
    for file, seed in ((again, 0), (other, 1)):
        main(["dataset", folder, f"--report={file}", "--sample=4", f"--seed={seed}"])
    capsys.readouterr()
    assert again.read_bytes() == page.read_bytes() != other.read_bytes()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1400, 420])
def test_it_fits_the_window(page, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'slimft[test-browser]'")
    flags = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER, args=flags, chromium_sandbox=False)
        opened = browser.new_page(viewport={"width": width, "height": 900})
        wrong = []
        opened.on("console", lambda message: wrong.append(message.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.goto(pathlib.Path(page).as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        sizes = opened.evaluate("[...document.images].map((image) => [image.complete, image.naturalWidth])")
        browser.close()
    assert len(sizes) == 10 and all(complete and side == 140 for complete, side in sizes) and wrong == []
