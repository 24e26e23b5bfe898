"""An organization registers itself in a real browser, in five countries, by mouse, by keyboard and without script."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.testing.cast import PASSWORD
from tests.e2e.conftest import NARROW, Open
from tests.e2e.steps import LOOKS, held_back, overflow, sound

ORGANIZATIONS = [
    {
        "country": "Ireland", "name": "Quiet Harbour", "full_name": "Quiet Harbour Funeral Directors Limited",
        "address": {"street_address": "4 Harbour Road", "city": "Dublin", "postal_code": "D13 X285"}, "phone": "01 496 0000",
        "person": ("Mara", "Ortiz"),
    },
    {
        "country": "United States", "name": "Prairie Rest", "full_name": "Prairie Rest Memorial Park, Inc.",
        "address": {"street_address": "1 Main St", "city": "Springfield", "country_area": "Illinois", "postal_code": "62701"},
        "phone": "(217) 782-2000", "person": ("June", "Whitfield"),
    },
    {
        "country": "Japan", "name": "Shizuka Sōsai", "full_name": "株式会社静葬祭",
        "address": {"street_address": "千代田区千代田1-1", "country_area": "Tokyo", "postal_code": "100-0001"},
        "phone": "03-3213-1111", "person": ("結衣", "佐藤"),
    },
    {
        "country": "Brazil", "name": "Cemitério da Paz", "full_name": "Cemitério da Paz Ltda.",
        "address": {"street_address": "Rua Augusta 1", "city": "São Paulo", "country_area": "São Paulo", "postal_code": "01305-000"},
        "phone": "(11) 3123-4567", "person": ("Inês", "Souza"),
    },
    {
        "country": "Hong Kong", "name": "Lantern Hill", "full_name": "Lantern Hill Columbarium Ltd",
        "address": {"street_address": "1 Queen's Road Central", "city": "Central", "country_area": "Hong Kong Island"},
        "phone": "2123 4567", "person": ("Mei", "Chan"),
    },
]  # fmt: skip


@pytest.mark.parametrize("organization", ORGANIZATIONS, ids=[o["country"] for o in ORGANIZATIONS])
def test_an_organization_registers_signs_out_and_signs_in(tab: Open, picture: Callable[..., None], organization: dict[str, Any]) -> None:
    page, slug = tab(), organization["country"].lower().replace(" ", "-")
    page.goto("/register")
    page.get_by_label("Name of your organization").fill(organization["name"])
    expect(page.locator("#subdomain")).not_to_have_value("")
    expect(page.locator("#subdomain-status")).to_contain_text("free")
    subdomain = page.locator("#subdomain").input_value()
    fill_in(page, organization)
    picture(page, f"register-{slug}")
    page.get_by_role("button", name="Register and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator("body")).to_contain_text(organization["name"])
    picture(page, f"overview-{slug}")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.get_by_label("Organization")).to_have_value(subdomain)
    page.get_by_label("E-mail or username").fill("first.admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    picture(page, f"sign-in-{slug}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert page.locator("#first-steps").count() == 0
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    picture(page, f"overview-narrow-dark-{slug}")


def test_changing_the_country_swaps_the_fields_and_loses_nothing(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    fill_in(page, ORGANIZATIONS[0])
    page.get_by_label("Country", exact=True).select_option(label="Hong Kong")
    expect(page.locator("[name='address-postal_code'][type=hidden]")).to_have_value("D13 X285")
    expect(page.locator("[name='address-street_address']")).to_have_value("4 Harbour Road")
    expect(page.locator("#admin_password")).to_have_value(PASSWORD)
    page.get_by_label("Country", exact=True).select_option(label="Ireland")
    expect(page.get_by_label("Eircode")).to_have_value("D13 X285")


def test_what_is_typed_while_another_countrys_fields_are_on_their_way_stays(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    country = page.get_by_label("Country", exact=True)
    choose_country(page, "Ireland")
    page.get_by_label("Town or city").fill("Dublin")
    page.get_by_label("Eircode").fill("D13 X285")
    let_go = held_back(page, "**/register/address", lambda: country.select_option(label="Hong Kong"))
    page.get_by_label("County").select_option(label="Co. Dublin")  # a choice of Ireland's only
    page.get_by_label("Townland").fill("Baldoyle")  # Hong Kong has no such field
    page.get_by_label("Eircode").fill("D13 X286")  # nor this one, which held something before
    street = page.get_by_label("Street address")
    street.click()
    page.keyboard.type("4 Road")
    for _ in "Road":
        page.keyboard.press("ArrowLeft")
    let_go()
    expect(page.locator("#address-fields")).to_have_attribute("data-announce", re.compile("Hong Kong"))
    expect(street).to_be_focused()
    page.keyboard.type("Harbour ")
    expect(street).to_have_value("4 Harbour Road")
    expect(page.get_by_label("District")).to_have_value("Dublin")
    expect(page.get_by_label("Area")).to_have_value("Co. Dublin")
    expect(page.get_by_label("Area").locator(":checked")).to_have_text("Co. Dublin (not in this list)")
    choose_country(page, "Ireland")
    for label, typed in {"Street address": "4 Harbour Road", "County": "Co. Dublin", "Townland": "Baldoyle", "Eircode": "D13 X286"}.items():
        expect(page.get_by_label(label)).to_have_value(typed)


def test_a_region_typed_while_the_list_of_regions_is_on_its_way_is_chosen_in_it(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    choose_country(page, "Costa Rica")
    let_go = held_back(page, "**/register/address", lambda: page.get_by_label("Country", exact=True).select_option(label="United States"))
    page.get_by_label("Province").fill("california")
    let_go()
    expect(page.get_by_label("State")).to_have_value("CA")


def test_refused_answers_are_said_beside_their_fields_and_focus_is_on_the_faults(tab: Open, picture: Callable[..., None]) -> None:
    page = tab()
    page.goto("/register")
    fill_in(page, ORGANIZATIONS[0])
    page.locator("#subdomain").fill("acme")
    expect(page.locator("#subdomain-status")).to_contain_text("taken")
    page.get_by_label("Phone").fill("01 496 000")
    page.get_by_role("button", name="Register and sign in").click()
    expect(page.locator("#subdomain")).to_be_focused()
    expect(page.locator("#faults li")).to_have_count(2)
    picture(page, "register-refused")
    page.locator("#faults li a").last.click()
    expect(page.get_by_label("Phone")).to_be_focused()
    expect(page.locator("#admin_password")).to_have_value("")
    expect(page.get_by_label("Full legal name")).to_have_value("Quiet Harbour Funeral Directors Limited")


def test_the_password_can_be_shown_and_gets_a_hint(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    password = page.locator("#admin_password")
    password.press_sequentially("harbour2024")
    expect(page.locator("#password-strength")).not_to_be_empty()
    page.get_by_role("button", name="Show password").click()
    expect(password).to_have_attribute("type", "text")


def test_a_network_that_fails_says_so_and_keeps_what_was_typed(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    page.get_by_label("Name of your organization").fill("Quiet Harbour")
    page.route("**/register/address", lambda route: route.abort())
    page.get_by_label("Country", exact=True).select_option(label="Japan")
    expect(page.locator("#notices")).to_contain_text("did not answer")
    expect(page.get_by_label("Name of your organization")).to_have_value("Quiet Harbour")
    page.complaints.clear()


def test_everything_works_without_script(tab: Open, picture: Callable[..., None]) -> None:
    page, organization = tab(script=False), ORGANIZATIONS[0]
    page.goto("/register")
    page.get_by_label("Country", exact=True).select_option(label="Japan")
    page.get_by_role("button", name="Use this country's fields").click()
    expect(page.get_by_label("Prefecture")).to_be_visible()
    page.get_by_label("Country", exact=True).select_option(label="Ireland")
    page.get_by_role("button", name="Use this country's fields").click()
    page.get_by_label("Name of your organization").fill(organization["name"])
    page.locator("#subdomain").fill("quiet-harbour")
    fill_in(page, organization)
    picture(page, "register-without-script")
    page.locator("#admin_password").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_keyboard_alone_registers_an_organization(tab: Open) -> None:
    page = tab()
    page.goto("/register")
    answers = {
        "name": "Quiet Harbour", "full_name": "Quiet Harbour Limited", "address-street_address": "4 Harbour Road", "address-city": "Dublin",
        "address-postal_code": "D13 X285", "phone": "01 496 0000", "organization_email": "office@quietharbour.example", "admin_first_name": "Mara",
        "admin_last_name": "Ortiz", "admin_username": "mara", "admin_email": "mara@quietharbour.example", "admin_password": PASSWORD,
    }  # fmt: skip
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()")
        if name == "subdomain":
            expect(page.locator("#subdomain")).to_have_value("quiet-harbour")
        elif name in answers:
            page.keyboard.type(answers.pop(name))
        elif name == "Register and sign in":
            page.keyboard.press("Enter")
            break
    assert not answers, f"never reached: {sorted(answers)}"
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


@pytest.mark.parametrize(("name", "size", "dark"), LOOKS, ids=[look[0] for look in LOOKS])
def test_a_refused_registration_has_no_fault_of_accessibility(tab: Open, name: str, size: dict[str, int], dark: bool) -> None:
    page = tab(size=size, dark=dark)
    page.goto("/register")
    page.get_by_role("button", name="Register and sign in").click()
    expect(page.locator("#faults")).to_be_visible()
    sound(page, "a refused registration")
    assert overflow(page) <= 0


def test_a_first_visit_stays_small(tab: Open) -> None:
    page, sizes = tab(), []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto("/register", wait_until="networkidle")
    assert len(sizes) >= 5
    assert sum(sizes) < 60_000, sum(sizes)


def register(page: Page) -> str:
    """The first of the organizations, whose administrator is signed in then; returns its subdomain."""
    page.goto("/register")
    fill_in(page, ORGANIZATIONS[0])
    subdomain = page.locator("#subdomain").input_value()
    page.get_by_role("button", name="Register and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    return subdomain


def fill_in(page: Page, organization: dict[str, Any]) -> None:
    """What a person types, top to bottom; the name and the subdomain where they are still empty."""
    first, last = organization["person"]
    if not page.get_by_label("Name of your organization").input_value():
        page.get_by_label("Name of your organization").fill(organization["name"])
        expect(page.locator("#subdomain")).not_to_have_value("")
    page.get_by_label("Full legal name").fill(organization["full_name"])
    page.get_by_label("Instructions for your agents").fill("We speak quietly and never hurry anybody.")
    country = page.get_by_label("Country", exact=True)
    if country.evaluate("select => select.selectedOptions[0].textContent") != organization["country"]:
        choose_country(page, organization["country"])
    for key, value in organization["address"].items():
        control = page.locator(f"[name='address-{key}']")
        expect(control).to_be_visible()
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(
                value=control.evaluate("(select, wanted) => [...select.options].find(o => o.textContent.includes(wanted)).value", value)
            )
        else:
            control.fill(value)
    page.get_by_label("Phone").fill(organization["phone"])
    domain = organization["country"].lower().replace(" ", "") + ".example"
    page.get_by_label("E-mail of the organization").fill(f"office@{domain}")
    page.get_by_label("First name").fill(first)
    page.get_by_label("Last name").fill(last)
    page.get_by_label("Username").fill("first.admin")
    page.get_by_label("Your e-mail").fill(f"admin@{domain}")
    page.locator("#admin_password").fill(PASSWORD)
    if page.locator(".needs-script").first.is_visible():
        expect(page.locator("#password-strength")).not_to_be_empty()  # nobody clicks while the page still answers


def choose_country(page: Page, name: str) -> None:
    page.get_by_label("Country", exact=True).select_option(label=name)
    expect(page.locator("#address-fields")).to_have_attribute("data-announce", re.compile(name))
