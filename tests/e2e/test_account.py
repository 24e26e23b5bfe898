"""A person ends a session and changes the password in a real browser."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.conftest import NARROW, Open
from tests.e2e.steps import overflow, sign_in, sound


def test_a_session_elsewhere_is_ended_and_the_password_changed(
    tab: Open, cast: SimpleNamespace, picture: Callable[[Page, str], None]
) -> None:
    elsewhere, here = tab(), tab()
    sign_in(elsewhere, cast.acme.user)
    sign_in(here, cast.acme.user)
    here.locator(".menu summary").click()
    here.get_by_role("link", name="Your sessions").click()
    expect(here.locator("#sessions tbody tr")).to_have_count(2)
    picture(here, "sessions")
    here.locator("#sessions tbody tr", has_not_text="this session").get_by_role("button").click()
    expect(here.locator("#sessions tbody tr")).to_have_count(1)
    elsewhere.goto("/")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Sign in")
    here.get_by_role("link", name="Password", exact=True).click()
    here.get_by_label("Current password").fill(cast.acme.user.password)
    here.get_by_label("New password").fill("seven herons over the marsh at dawn")
    here.get_by_role("button", name="Change password").click()
    expect(here.locator("body")).to_contain_text("Your password is changed.")


def test_names_an_email_and_preferences_are_changed(
    tab: Open, cast: SimpleNamespace, owner: Any, picture: Callable[[Page, str], None]
) -> None:
    page = tab()
    sign_in(page, cast.acme.user)
    page.locator(".menu summary").click()
    page.get_by_role("link", name="Your account").click()
    page.get_by_label("First name").fill("Mara")
    page.get_by_label("Last name").fill("Ortiz")
    page.get_by_role("button", name="Save profile").click()
    expect(page.locator(".menu summary")).to_contain_text("Mara Ortiz")
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    page.reload()
    page.get_by_label("New e-mail").fill("mara@elsewhere.example")
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.get_by_label("Your password", exact=True)).to_be_focused()
    expect(page.get_by_label("New e-mail")).to_have_value("mara@elsewhere.example")
    picture(page, "account-confirm")
    page.get_by_label("Your password", exact=True).fill(cast.acme.user.password)
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.locator(".waiting")).to_contain_text("mara@elsewhere.example")
    page.get_by_role("radio", name="Dark").check()
    page.get_by_role("radio", name="Compact").check()
    page.get_by_label("Time zone").select_option(value="Pacific/Auckland")
    page.get_by_role("button", name="Save preferences").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-density", "compact")
    expect(page.locator(".waiting time")).to_contain_text("NZ")
    picture(page, "account-dark")
    sound(page, "an account where an address waits")
    page.set_viewport_size(NARROW)
    assert overflow(page) <= 0
    picture(page, "account-dark-narrow")


def test_the_open_menu_has_no_fault_of_accessibility(tab: Open, cast: SimpleNamespace) -> None:
    page = tab()
    sign_in(page, cast.acme.user)
    page.locator(".menu summary").click()
    sound(page, "the account's menu")
