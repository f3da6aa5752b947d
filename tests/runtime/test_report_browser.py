"""Reports in a real browser: they open, formulas are laid out, what comes from one line lights up together, nothing is loaded.

They need Chromium and Playwright (`pip install 'chainrule[browser]'`) and are skipped without; `CHAINRULE_CHROMIUM` says where the
browser is, and makes its absence a failure.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule import grad

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome")
LIT = "rgb(255, 229, 143)"  # what page.css lights things up with, on paper


@grad(wrt=("w", "b"))
def loss(w, b, x, y):  # type: ignore[no-untyped-def]
    z = x @ w + b
    p = 1 / (1 + np.exp(-z))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    wanted = os.environ.get("CHAINRULE_CHROMIUM")
    path = wanted or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    if wanted is None:
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loss.value_and_grad(np.zeros(3), 0.0, np.arange(12.0).reshape(4, 3) / 10, np.array([1.0, 0.0, 1.0, 0.0]))
    target: Path = loss.explain().save(tmp_path_factory.mktemp("report") / "loss.html")
    return target


@pytest.fixture
def page(browser: Any, saved: Path) -> Iterator[Any]:
    """The report, opened; whatever the page complains of or asks for fails the test."""
    noted: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    made = context.new_page()
    made.on("console", lambda message: noted.append(f"console: {message.text}"))
    made.on("pageerror", lambda error: noted.append(f"error: {error}"))
    made.on("request", lambda request: noted.append(f"request: {request.url}"))
    made.goto(saved.as_uri())
    yield made
    context.close()
    assert noted == [f"request: {saved.as_uri()}"]


def line(page: Any, text: str) -> Any:
    return page.locator("aside .row[data-at]", has_text=text)


def lit(page: Any, where: str) -> list[str]:
    """The text of what is lit up, outermost."""
    texts: list[str] = page.locator(f"{where}.on").evaluate_all(
        "all => all.filter(part => !part.parentElement.closest('.on')).map(part => part.textContent)")
    return texts


def test_formulas_are_laid_out_as_mathematics(page: Any) -> None:
    boxes = page.locator("math[display]").evaluate_all("all => all.map(m => m.getBoundingClientRect()).map(b => [b.width, b.height])")
    assert len(boxes) == 3
    assert all(width > 50 and height > 10 for width, height in boxes)
    fraction, above, below = page.locator("math[display] mfrac").first.evaluate(
        "f => [f, ...f.children].map(part => part.getBoundingClientRect()).map(b => [b.top, b.bottom])")
    assert fraction[0] <= above[0] < above[1] <= below[0] + 1 < below[1] <= fraction[1] + 1


def test_a_line_lights_up_its_terms_everywhere(page: Any) -> None:
    page.locator("details").evaluate_all("all => all.forEach(part => part.open = true)")
    line(page, "p = 1 /").hover()
    page.locator("main .on").first.wait_for()
    terms = lit(page, "math[display] mrow")
    assert len(terms) == 4
    assert all(term.startswith("σ") for term in terms)
    assert page.locator("math[display] mrow.on").first.evaluate("part => getComputedStyle(part).backgroundColor") == LIT
    assert "v" in "".join(lit(page, "pre .row"))
    assert any("sigmoid" in text for text in lit(page, "pre .row"))
    assert lit(page, "details")
    assert any("exp" in text for text in lit(page, "svg g"))
    assert not any("exp" in text for text in lit(page, "aside .row") if "p = 1" not in text)
    line(page, "z = x @ w").hover()
    assert all("σ" not in term for term in lit(page, "math[display] mrow")[:2])
    page.mouse.move(1, 1)
    assert page.locator(".on").count() == 0


def test_a_term_lights_up_its_line(page: Any) -> None:
    page.locator("math[display] mrow[data-at]", has_text="σ").last.hover()
    assert [text.strip().split(" ")[0] for text in lit(page, "aside .row")] != []
    page.locator("svg g.contract").first.hover()
    assert any("z = x @ w + b" in text for text in lit(page, "aside .row"))


def test_the_keyboard_does_what_the_pointer_does(page: Any) -> None:
    page.keyboard.press("Tab")
    assert any("z = x @ w + b" in text for text in lit(page, "aside .row"))
    page.keyboard.press("Enter")  # keeps it
    page.keyboard.press("Tab")
    assert len(lit(page, "aside .row")) == 2
    page.keyboard.press("Escape")
    assert [("p = 1" in text) for text in lit(page, "aside .row")] == [True]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


CONTRAST = """parts => parts.map(part => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(c => c / 255)
      .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  let behind = part;
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  const [a, b] = [light(getComputedStyle(part).color), light(getComputedStyle(behind).backgroundColor)].sort((x, y) => x - y);
  return (b + .05) / (a + .05);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_both_colour_schemes(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    background = page.locator(".chainrule-report").evaluate("part => getComputedStyle(part).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    for words in ("h1, .muted, td, small, summary, pre span", "aside span"):
        if words.startswith("aside"):
            line(page, "return -np.mean").hover()
        ratios = page.locator(words).evaluate_all(CONTRAST)
        assert ratios
        assert min(ratios) >= 4.5


def test_a_narrow_window_does_not_scroll_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_print_shows_what_is_folded(page: Any) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    before = page.locator("details[open]").count()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("section > details:not([open])").count() == 0
    assert page.locator(".chainrule-report").evaluate("part => getComputedStyle(part).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == before
