"""The page in a real browser: photos in, one click, eight pictures out; by keyboard alone; without any other host."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from components.shoot.delivery import GENERATED, SHEET
from pipelines.studio.app import HERE
from tests.pipelines.studio.conftest import Served

WAIT_MS = 120_000
ICON = HERE / "static" / "icon.svg"


class Window:
    """A browser window that can reach nothing but the page; whatever else is asked for is kept."""

    def __init__(self, chromium: Any, served: Served, **options: Any) -> None:
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.context = chromium.new_context(**options)
        ours = urlsplit(served.address).netloc

        def decide(route: Any) -> None:
            if urlsplit(route.request.url).netloc == ours:
                route.continue_()
            else:
                self.elsewhere.append(route.request.url)
                route.abort()

        self.context.route("**/*", decide)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(served.address)

    def ready(self) -> None:
        self.page.wait_for_selector("#go:not([disabled]):has-text('Take')")

    def choose(self, name: str, value: str) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        self.page.check(f"input[name={name}][value='{value}']")


@pytest.fixture
def window(chromium: Any) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def new(served: Served, **options: Any) -> Window:
        opened.append(Window(chromium, served, **options))
        return opened[-1]

    yield new
    for one in opened:
        one.context.close()


def test_photos_a_click_eight_pictures_other_clothes_and_all_of_them_as_a_zip(
        page: Served, window: Callable[..., Window], photos: list[Path], tmp_path: Path) -> None:
    seen = window(page, viewport={"width": 1280, "height": 900})
    at = seen.page
    at.wait_for_selector("#hint:has-text('Bring a photo first')")
    assert at.locator("#go").is_disabled()
    pillow_heif.register_heif_opener()
    Image.open(photos[1]).save(tmp_path / "phone.heic", quality=95)
    at.set_input_files("#file-person", [photos[0], tmp_path / "phone.heic"])
    seen.ready()
    assert at.locator(".photos[data-kind=person] li.good img").count() == 2
    plain, over = (decoded(seen.context, page.address + at.get_attribute(".photos img", "src").replace("shown", what))
                   for what in ("plain", "shown"))
    assert plain.shape == over.shape and 0.02 < (np.abs(plain.astype(int) - over).max(2) > 40).mean() < 0.9
    seen.choose("size", "256")
    at.click("#go")
    at.wait_for_selector("#go:has-text('Stop')")
    seen.ready()
    assert at.locator(".shoot .tile").count() == 8 and at.locator(".blank").count() == 0
    titles = at.locator(".tile .words span:first-child").all_inner_texts()
    assert len(set(titles)) == 8 and "starter model" in at.inner_text(".shoot header")
    at.click(".tile >> nth=2")
    assert titles[2] in at.inner_text("#viewer-title") and at.locator("#viewer-photo").is_visible()
    shown = at.locator("#viewer-picture")
    shown.evaluate("image => image.decode()")
    assert shown.evaluate("image => image.naturalWidth") == 256
    at.keyboard.press("ArrowRight")
    assert titles[3] in at.inner_text("#viewer-title")
    with at.expect_download() as one:
        at.click("#download")
    assert GENERATED.encode() in Path(one.value.path()).read_bytes()
    at.keyboard.press("Escape")

    seen.choose("clothes", "photos")
    at.select_option("#count", "1")
    assert at.locator("#go").is_disabled() and "photo of the clothes" in at.inner_text("#hint")
    at.set_input_files("#file-clothes", photos[3])
    at.wait_for_selector(".photos[data-kind=clothes] li.good")
    assert at.locator("#go").is_disabled() and "agrees" in at.inner_text("#hint")
    at.check("#consent")
    at.click("#go")
    at.wait_for_selector(".shoot >> nth=1")
    seen.ready()
    assert at.locator(".shoot >> nth=0").locator(".tile").count() == 1
    seen.choose("clothes", "random")
    seen.choose("background", "transparent")
    at.click("#go")
    at.wait_for_selector(".shoot >> nth=2")
    seen.ready()

    with at.expect_download() as everything:
        at.click(".shoot >> nth=2 >> text=Download all")
    with zipfile.ZipFile(everything.value.path()) as archive:
        names = archive.namelist()
        pictures = [Image.open(io.BytesIO(archive.read(name))) for name in names if name != SHEET]
        assert len(pictures) == 8 and SHEET in names and {one.size for one in pictures} == {(256, 256)}
        assert all(GENERATED.encode() in archive.read(name) for name in names)
    with at.expect_download() as clear:
        at.click(".shoot >> nth=0 >> text=Download all")
    with zipfile.ZipFile(clear.value.path()) as archive:
        assert Image.open(io.BytesIO(archive.read(archive.namelist()[0]))).mode == "RGBA"
    assert not seen.elsewhere and not seen.complaints


def decoded(context: Any, address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(context.request.get(address).body())).convert("RGB"))


def test_with_the_keyboard_alone(page: Served, window: Callable[..., Window], photos: list[Path]) -> None:
    seen = window(page, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    at = seen.page
    # Drawing all poses takes seconds.
    at.route("**/poses/*.webp", lambda route: route.fulfill(path=ICON, content_type="image/svg+xml"))

    def focused() -> str:
        return str(at.evaluate("document.activeElement.id || document.activeElement.className"))

    def tab_to(wanted: str) -> None:
        for _ in range(40):
            at.keyboard.press("Tab")
            if focused() == wanted:
                return
        raise AssertionError(f"{wanted} is not reached")

    tab_to("skip")
    asked: list[Any] = []
    at.on("filechooser", lambda chooser: asked.append(chooser))
    tab_to("file-person")
    for _ in range(30):  # on a busy machine the first key has been seen to open nothing
        at.keyboard.press("Enter")
        at.wait_for_timeout(1000)
        if asked:
            break
    asked[0].set_files(photos[0])
    at.wait_for_selector(".photos li.good")
    assert "person is found" in at.inner_text("#said")
    at.evaluate("document.activeElement.blur()")
    tab_to("file-person")
    for choice in ("poses", "clothes", "background", "size"):
        at.keyboard.press("Tab")
        while at.evaluate("document.activeElement.tagName") != "SUMMARY":
            at.keyboard.press("Tab")
        if choice in ("poses", "size"):
            at.keyboard.press("Enter")
        if choice == "poses":
            tab_to("open-poses")
            at.keyboard.press("Enter")
            assert at.evaluate("document.activeElement.closest('dialog').id") == "poses"
            while focused() != "" or at.evaluate("document.activeElement.type") != "checkbox":
                at.keyboard.press("Tab")
            at.keyboard.press("Space")
            at.keyboard.press("Escape")
            assert at.inner_text("#said-poses") == "1 picked" and focused() == "open-poses"
    at.keyboard.press("Tab")
    at.keyboard.press("ArrowDown")  # from what the photos support to 256 px
    tab_to("go")
    at.keyboard.press("Enter")
    at.wait_for_selector(".tile")
    seen.ready()
    assert at.inner_text("#said") == "1 picture is ready."
    tab_to("tile")
    at.keyboard.press("Enter")
    assert at.evaluate("document.activeElement.closest('dialog[open]').id") == "viewer"
    at.keyboard.press("Escape")
    assert focused() == "tile" and not seen.complaints


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_is_wider_than_the_window_and_every_control_has_a_name(
        page: Served, window: Callable[..., Window], width: int) -> None:
    seen = window(page, viewport={"width": width, "height": 900}, color_scheme="dark" if width == 360 else "light")
    at = seen.page
    at.wait_for_selector("#version:not([disabled])")
    at.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    seen.choose("clothes", "photos")
    assert at.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    nameless = at.evaluate("""[...document.querySelectorAll('button, input, select, a')].filter(one => !(one.labels
        && [...one.labels].some(label => label.textContent.trim()) || one.textContent.trim()
        || one.getAttribute('aria-label'))).map(one => one.outerHTML)""")
    assert not nameless and not seen.complaints
    paper, ink = (at.evaluate(f"getComputedStyle(document.body).{what}") for what in ("backgroundColor", "color"))
    assert (sum(map(int, paper[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) == (width == 360)
