"""The landing page in a real browser: styled, complete, and at peace with its own policy."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import Browser, async_playwright
from support.overviews import HOSTILE

if TYPE_CHECKING:
    from landing.conftest import Site

CHROMIUM = shutil.which("chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no chromium"
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "there is no chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        await browser.close()


async def test_the_page_looks_right_in_both_schemes_and_on_a_phone(
    site: Site, browser: Browser
) -> None:
    complaints: list[str] = []
    fetched: list[str] = []
    colors: list[list[str]] = []
    url = f"http://127.0.0.1:{site.port}/"
    for scheme in ("light", "dark"):
        context = await browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": 360, "height": 800},
        )
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        await page.goto(url)
        colors.append(
            await page.evaluate(
                "() => [getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.body).color]"
            )
        )
        assert await page.title() == "Trainwave exporter"
        assert await page.get_by_role("table").count() == 7
        assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
        await context.close()
    assert complaints == []
    assert {address for address in fetched if not address.startswith("data:")} == {url}
    assert colors == [
        ["rgb(255, 255, 255)", "rgb(28, 35, 48)"],
        ["rgb(20, 24, 31)", "rgb(228, 232, 239)"],
    ]


CONTRASTS = """() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => {
    const [r, g, b] = parts(color).map(part => part / 255)
      .map(part => part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter(each => [...each.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .filter(each => each.checkVisibility())
    .map(each => {
      const [a, b] = [getComputedStyle(each).color, ground(each)].map(light);
      return [each.textContent.trim(), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
    });
}"""
"""The contrast of every text with its ground, as WCAG 2 reckons it."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(
    site: Site, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    page = await browser.new_page(color_scheme=scheme)
    await page.goto(f"http://127.0.0.1:{site.port}/")
    contrasts = await page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [(text, contrast) for text, contrast in contrasts if contrast < 4.5] == []


async def test_hostile_names_are_text_and_a_job_leads_to_the_vendors_page(
    site: Site, browser: Browser
) -> None:
    """Names with markup, with overrides of direction and without end change nothing around them."""
    complaints: list[str] = []
    page = await browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    await page.goto(f"http://127.0.0.1:{site.port}/")
    link = page.locator("td a, th a")
    assert await link.inner_text() == HOSTILE
    assert await link.get_attribute("href") == "https://trainwave.ai/jobs/j%2F1%3Fx"
    assert await link.get_attribute("rel") == "noreferrer"
    assert await page.locator("script, img").count() == 0
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 1200
    name = await page.locator(".jobs tbody th").bounding_box()
    assert name is not None
    assert name["width"] < 400
    assert complaints == []


async def test_the_page_is_read_aloud_in_order_and_walked_by_keyboard(
    site: Site, browser: Browser
) -> None:
    """What is wrong is a status, each table a named region that the tab key reaches to scroll."""
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{site.port}/")
    assert "Account research cannot be read" in await page.get_by_role("status").inner_text()
    headings = await page.get_by_role("heading").all_inner_texts()
    assert headings == [
        "Trainwave exporter",
        "Accounts",
        "Request budget",
        "Running jobs, most wasteful first",
        "Unknown figures",
        "Last errors and unreadable values",
        "Loops",
        "Configuration in use",
    ]
    for heading in headings[1:]:
        assert await page.get_by_role("region", name=heading, exact=True).count() == 1
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "() => document.activeElement.getAttribute('aria-labelledby')"
                " ?? document.activeElement.localName"
            )
        )
    tables = ["accounts", "budget", "jobs", "a", "unknown", "errors", "loops", "settings"]
    assert reached == ["a", "a", "a", *tables, "summary"]
    await page.keyboard.press("Enter")
    assert await page.get_by_role("region", name="All 1 settings").is_visible()


async def test_the_links_of_the_page_lead_somewhere(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    for name, text in (("Metrics", "# HELP"), ("Health", "ok"), ("Readiness", "ready")):
        await page.goto(f"http://127.0.0.1:{site.port}/")
        await page.get_by_role("link", name=name).click()
        await page.wait_for_load_state()
        assert text in await page.inner_text("body")
