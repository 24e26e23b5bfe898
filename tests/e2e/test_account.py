"""A person ends a session and changes the password in a real browser."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import NARROW, WIDE, Open
from tests.e2e.test_registration import overflow, sign_in, sound


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
    here.get_by_role("link", name="Change password").first.click()
    here.get_by_label("Password until now").fill(cast.acme.user.password)
    here.get_by_label("New password").fill("seven herons over the marsh at dawn")
    here.get_by_role("button", name="Change password").click()
    expect(here.locator("body")).to_contain_text("Your password is changed.")


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False)], ids=["light-wide", "dark-wide", "light-narrow"])
def test_the_account_has_no_fault_of_accessibility(tab: Open, cast: SimpleNamespace, size: dict[str, int], dark: bool) -> None:
    page = tab(size=size, dark=dark)
    sign_in(page, cast.acme.user)
    for path in ("/account/sessions", "/account/password"):
        page.goto(path)
        sound(page, path)
        assert overflow(page) <= 0, path
    page.locator(".menu summary").click()
    sound(page, "the account's menu")
