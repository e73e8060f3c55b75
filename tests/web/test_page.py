"""The landing page in a real browser: styled, complete, and at peace with its own policy."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, async_playwright

if TYPE_CHECKING:
    from web.conftest import Site

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
            viewport={"width": 390, "height": 800},
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
        assert await page.get_by_role("table").count() == 2
        assert await page.evaluate("() => document.documentElement.scrollWidth") == 390
        await context.close()
    assert complaints == []
    assert {address for address in fetched if not address.startswith("data:")} == {url}
    assert colors == [
        ["rgb(255, 255, 255)", "rgb(28, 35, 48)"],
        ["rgb(20, 24, 31)", "rgb(228, 232, 239)"],
    ]


async def test_the_links_of_the_page_lead_somewhere(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    for name, text in (("Metrics", "# HELP"), ("Health", "ok"), ("Readiness", "ready")):
        await page.goto(f"http://127.0.0.1:{site.port}/")
        await page.get_by_role("link", name=name).click()
        await page.wait_for_load_state()
        assert text in await page.inner_text("body")
