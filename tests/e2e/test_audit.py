"""An administrator looks through the audit log in a real browser."""

from collections.abc import Callable
from types import SimpleNamespace

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open
from tests.e2e.steps import sign_in, sound


def test_the_log_is_searched_while_typing_opened_and_proved(tab: Open, cast: SimpleNamespace, picture: Callable[[Page, str], None]) -> None:
    page = tab()
    sign_in(page, cast.acme.user)
    page.context.clear_cookies()
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    page.get_by_label("Full legal name").fill("Acme House Limited")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Audit log", exact=True).click()
    expect(page.locator("#entries li")).to_have_count(3)
    page.locator("#entries summary").click()
    expect(page.locator("#entries")).to_contain_text("Acme House Limited")
    page.get_by_role("button", name="Check it").click()
    expect(page.locator("#chain")).to_contain_text("3 entries, all intact")
    sound(page, "an audit log that was opened and proved")
    picture(page, "audit")
    page.get_by_label("Who", exact=True).fill("acme user")
    expect(page.locator("#entries li")).to_have_count(1)
    assert "who=acme" in page.url
    page.reload()
    expect(page.locator("#entries li")).to_have_count(1)
