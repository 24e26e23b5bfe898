"""An administrator changes the settings in a real browser, and loses a race without losing a word."""

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import NARROW, WIDE, Open
from tests.e2e.steps import held_back, overflow, sign_in, sound


def test_two_editors_meet_and_no_word_is_lost(tab: Open, cast: SimpleNamespace, picture: Callable[[Page, str], None]) -> None:
    first, second = tab(), tab()
    sign_in(first, cast.acme.admin)
    sign_in(second, cast.acme.admin2)
    for page in (first, second):
        page.get_by_role("link", name="Settings").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    first.get_by_label("Full legal name").fill("Acme House Limited")
    first.get_by_role("button", name="Save").click()
    expect(first.locator("body")).to_contain_text("Saved.")
    picture(first, "settings")
    second.get_by_label("Full legal name").fill("Acme House & Daughters")
    second.get_by_label("Instructions for your agents").fill("Typed with care.")
    second.get_by_role("button", name="Save").click()
    expect(second.locator("#conflict")).to_contain_text("Acme House Limited")
    expect(second.get_by_label("Instructions for your agents")).to_have_value("Typed with care.")
    picture(second, "settings-conflict")
    sound(second, "two versions of the settings")
    second.get_by_role("button", name="Save this").click()
    expect(second.locator("body")).to_contain_text("Saved.")
    expect(second.get_by_label("Full legal name")).to_have_value("Acme House & Daughters")


def test_choosing_a_country_swaps_the_fields(tab: Open, cast: SimpleNamespace) -> None:
    page = tab()
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    page.get_by_label("Country", exact=True).select_option(label="Japan")
    expect(page.get_by_label("Prefecture")).to_be_visible()


def test_what_is_typed_while_another_countrys_fields_are_on_their_way_is_saved(tab: Open, cast: SimpleNamespace) -> None:
    page = tab()
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    page.get_by_label("Country", exact=True).select_option(label="Ireland")
    let_go = held_back(page, "**/settings/address", lambda: page.get_by_label("Country", exact=True).select_option(label="Hong Kong"))
    page.get_by_label("Street address").fill("1 Queen's Road Central")
    let_go()
    page.get_by_label("Area").select_option(label="Hong Kong Island")
    page.get_by_label("District").fill("Central")
    page.get_by_role("button", name="Save").last.click()
    expect(page.locator("body")).to_contain_text("Saved.")
    expect(page.get_by_label("Street address")).to_have_value("1 Queen's Road Central")


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False)], ids=["light-wide", "dark-wide", "light-narrow"])
def test_refused_settings_have_no_fault_of_accessibility(tab: Open, cast: SimpleNamespace, size: dict[str, int], dark: bool) -> None:
    page = tab(size=size, dark=dark)
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    page.get_by_label("Name of your organization").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#faults")).to_be_visible()
    sound(page, "refused settings")
    assert overflow(page) <= 0


def test_the_settings_work_without_script(tab: Open, cast: SimpleNamespace) -> None:
    page = tab(script=False)
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    page.get_by_label("Country", exact=True).select_option(label="Ireland")
    page.get_by_role("button", name="Use this country's fields").click()
    page.get_by_label("Street address").fill("4 Harbour Road")
    page.get_by_label("Town or city").fill("Dublin")
    page.get_by_role("button", name="Save").last.click()
    expect(page.locator("body")).to_contain_text("Saved.")


def test_the_keyboard_alone_changes_the_settings(tab: Open, cast: SimpleNamespace) -> None:
    page = tab()
    sign_in(page, cast.acme.admin)
    page.goto("/settings")
    answers = {
        "full_name": "Acme House Limited", "description": " Answer gently.", "address-street_address": "4 Harbour Road", "address-city": "Dublin",
        "address-postal_code": "D13 X285", "phone": "01 496 0000", "organization_email": "office@acme.example",
    }  # fmt: skip
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()")
        if name == "address-country":
            country = page.locator("[name=address-country]")
            for _ in range(20):  # a browser forgets the first letters when the next one comes more than a second later
                page.keyboard.type("Irel")
                if country.input_value() == "IE":
                    break
                page.wait_for_timeout(1_500)
            expect(page.locator("#address-fields")).to_have_attribute("data-announce", re.compile("Ireland"))
            expect(country).to_be_focused()
        elif name in answers:
            page.keyboard.type(answers.pop(name))
        elif name == "Save":
            page.keyboard.press("Enter")
            break
    assert not answers, f"never reached: {sorted(answers)}"
    expect(page.locator("body")).to_contain_text("Saved.")
    expect(page.get_by_label("Eircode")).to_have_value("D13 X285")
