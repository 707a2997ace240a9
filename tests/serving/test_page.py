"""The page in a real browser: pictures are dropped, pasted and chosen; what it shows; how it fits a phone."""

import base64
import pathlib
import shutil

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'slimft[test-browser]'")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=BROWSER, args=FLAGS, chromium_sandbox=False)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser):
    """Opens the page of a server, and lets no message of the browser pass."""
    contexts, wrong = [], []

    def begin(client, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if is_ours(request.url, client.port) else wrong.append(request.url))
        page.goto(f"http://127.0.0.1:{client.port}/")
        # Not wait_for_function, whose polling the page's own policy forbids.
        page.locator("#what", has_text="classes").wait_for()
        page.wrong = wrong
        return page

    yield begin
    for context in contexts:
        context.close()


def is_ours(url, port):
    return url.startswith((f"http://127.0.0.1:{port}/", f"blob:http://127.0.0.1:{port}/", "data:"))


def dropped(page, *pictures):
    """Drops files, of names and bytes, on the page, as a person does."""
    coded = [[name, base64.b64encode(data).decode()] for name, data in pictures]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, coded] of files) {
                const octets = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
                const type = name.endsWith(".txt") ? "text/plain" : "image/png";
                transfer.items.add(new File([octets], name, {type}));
            }
            return transfer;
        }""",
        coded,
    )
    for event in ("dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def shown(page, count):
    """What the page shows of each picture: its name, and classes with shares or what is wrong."""
    from playwright.sync_api import expect

    expect(page.locator("#pictures ol, #pictures .wrong")).to_have_count(count, timeout=30_000)
    found = {}
    for card in page.query_selector_all("#pictures > li"):
        rows = [row.inner_text().split("\n") for row in card.query_selector_all("ol li")]
        wrong = card.query_selector(".wrong")
        found[card.query_selector("h2").inner_text()] = wrong.inner_text() if wrong else rows
    return found


def test_pictures_that_are_dropped_have_their_classes(start, kit, opened):
    page = opened(start())
    assert page.inner_text("#what") == "run-7: colours, 3 classes, pictures seen at 8×8"
    dropped(page, ("one.png", kit.picture((255, 0, 0))), ("two.png", kit.picture((0, 128, 128))))
    found = shown(page, 2)
    assert found["one.png"] == [["red", "100.0%"], ["green", "<0.1%"], ["blue", "<0.1%"]]
    assert found["two.png"][0] == ["green", "50.0%"] and found["two.png"][2][0] == "red"
    bars = page.query_selector_all("#pictures > li:last-child .bar, #pictures > li:last-child .bar i")
    whole, half, _, other, _, least = (bar.bounding_box()["width"] for bar in bars)
    assert half == pytest.approx(whole / 2, rel=0.01) and other == pytest.approx(half, rel=0.01) and least < 3
    assert page.inner_text("#state") == "2 pictures classified"
    page.click("#clear")
    assert page.query_selector("#pictures > li") is None and page.inner_text("#state") == ""
    assert page.wrong == []


def test_what_cannot_be_classified_is_said_in_its_place(start, kit, opened):
    from slimft.serving.uploads import Limits

    page = opened(start(limits=Limits(body_bytes=100_000)))
    hostile = "<img src=x onerror=alert(1)>../../etc.txt"
    dropped(page, (hostile, b"no picture"), ("large.png", bytes(200_000)), ("good.png", kit.picture()))
    found = shown(page, 3)
    assert "is no image" in found[hostile] and "0.2 MB; at most 0.1 MB" in found["large.png"]
    assert found["good.png"][0][0] == "red"
    assert page.inner_text("#state") == "1 picture classified, 2 could not be"
    assert page.query_selector("#pictures img[src=x]") is None
    # A status of 422 is an error to the browser's console, and nothing else is.
    assert all("422" in message for message in page.wrong)


def test_it_comes_again_when_the_server_is_full(start, kit, opened):
    from slimft.serving.uploads import Limits

    page = opened(start(limits=Limits(waiting=1, images=1), batch_wait=0.3))
    dropped(page, *((f"{number}.png", kit.picture()) for number in range(4)))
    assert {rows[0][0] for rows in shown(page, 4).values()} == {"red"}


def test_a_server_that_is_gone(start, kit, opened):
    client = start()
    page = opened(client)
    client.stop()
    dropped(page, ("one.png", kit.picture()))
    assert "does not answer" in shown(page, 1)["one.png"]


def test_the_keyboard_is_enough(start, kit, opened, tmp_path):
    page = opened(start())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    outline = page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle")
    assert outline == "solid"  # It is seen where one is.
    files = [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        file.write_bytes(kit.picture())
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files)
    assert set(shown(page, 2)) == {"a.png", "b.png"}
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "clear"
    page.keyboard.press("Enter")
    assert page.query_selector("#pictures > li") is None
    assert page.evaluate("document.activeElement.id") == "files"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_it_fits_wide_and_narrow_and_is_legible_in_both_schemes(start, kit, opened, width, scheme):
    colours = kit.Colours()
    colours.classes = type(colours.classes)(3, ("red " + "x" * 80, "green, of " + "long words " * 9, "blue"))
    page = opened(start(colours), viewport={"width": width, "height": 900}, color_scheme=scheme)
    dropped(page, *((f"{'a-long-name-' * 9}{n}.png", kit.picture((200, 90, 40))) for n in range(3)))
    shown(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert contrast(page, "body") >= 7 and contrast(page, "#what") >= 4.5 and contrast(page, "#state") >= 4.5
    assert page.wrong == []


def contrast(page, selector):
    """WCAG 2's ratio of an element's colour and the page's."""

    def luminance(text):
        red, green, blue = (
            (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
            for value in (int(part) / 255 for part in text.strip("rgb()").split(","))
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    colour = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark, light = sorted(map(luminance, (colour, ground)))
    return (light + 0.05) / (dark + 0.05)


def test_the_page_needs_nothing_from_elsewhere():
    import slimft.serving

    text = pathlib.Path(slimft.serving.__file__).with_name("page.html").read_text(encoding="utf-8")
    assert "http" not in text.replace("https://", "http://") and " src=" not in text and " style=" not in text
