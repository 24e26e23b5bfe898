"""What several browser tests do: sign in, look whether a page is sound, and how it is looked at."""

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import NARROW, WIDE

LOOKS = [("light-wide", WIDE, False), ("dark-wide", WIDE, True), ("light-narrow", NARROW, False)]


def sound(page: Page, what: str) -> None:
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, f"{what}\n{found.generate_report()}"


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def sound_in_every_look(page: Page, what: str) -> None:
    """For pages that only a live link or an act leads to."""
    for name, size, dark in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        sound(page, f"{what}, {name}")
        assert overflow(page) <= 0, f"{what}, {name}"
    page.set_viewport_size(WIDE)


def sign_in(page: Page, person: Any) -> None:
    page.goto(f"/sign-in?organization={person.subdomain}")
    page.get_by_label("E-mail or username").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def held_back(page: Page, url: str, ask: Callable[[], object]) -> Callable[[], None]:
    """`ask` for something at `url` that does not come until what is returned is called."""
    held: list[Route] = []
    let_through: list[bool] = []
    page.route(url, lambda route: route.continue_() if let_through else held.append(route))
    with page.expect_request(url):
        ask()

    def let_go() -> None:
        let_through.append(True)
        for route in held:
            route.continue_()

    return let_go
