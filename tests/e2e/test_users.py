"""An administrator finds people and acts on their accounts in a real browser: by mouse, by keyboard and without script."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.crowd import INVITED, NOW, REMOVED, person, put
from tests.e2e.conftest import NARROW, WIDE, Open
from tests.e2e.steps import LOOKS, held_back, overflow, sign_in, sound
from tests.e2e.test_many_users import FIRST, LAST
from tests.e2e.test_registration import register


@pytest.fixture
def crowded(owner: Any, cast: SimpleNamespace) -> SimpleNamespace:
    """acme with sixty more people, among them some in every state."""
    states: dict[int, dict[str, Any]] = {
        3: {**INVITED, "first_name": None, "last_name": None, "username": None}, 5: {"is_active": False}, 7: REMOVED, 9: {"role": "org_admin"},
    }  # fmt: skip
    names = {1: {"first_name": "Seán", "last_name": "Ó Briain"}, 2: {"first_name": "Mara", "last_name": "Ortiz"}}
    put(owner, [person(cast.acme.id, number, **{**states.get(number, {}), **names.get(number, {})}) for number in range(60)])
    return cast


@pytest.fixture
def users(tab: Open, crowded: SimpleNamespace) -> Page:
    page = tab()
    sign_in(page, crowded.acme.admin)
    page.get_by_role("link", name="Users").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Users")
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#users tbody tr", has=page.get_by_role("link", name=name, exact=True))


def rows(page: Page) -> Locator:
    return page.locator("#users tbody tr")


def manage(page: Page, name: str) -> Locator:
    """The row of somebody, with what can be done opened."""
    one = row(page, name)
    one.get_by_role("button", name=f"Manage {name}").click()
    return one


def change_role(page: Page, name: str, role: str) -> Locator:
    one = manage(page, name)
    one.get_by_label(f"Role of {name}").select_option(label=role)
    one.get_by_role("button", name=f"Change the role of {name}").click()
    return one


def counted(page: Page) -> Locator:
    return page.locator(".counted [role=status]")


def test_who_is_selected_while_an_answer_is_on_its_way_stays_selected(users: Page) -> None:
    page = users
    page.goto("/users?rows=100")
    let_go = held_back(page, "**/users?*", lambda: page.get_by_role("link", name="E-mail").click())
    page.get_by_label("Select Seán Ó Briain").check()
    page.get_by_label("Change several people").select_option(label="Deactivate")
    let_go()
    expect(page.locator("#users th[aria-sort=ascending]")).to_contain_text("E-mail")
    expect(page.get_by_label("Select Seán Ó Briain")).to_be_checked()
    expect(page.locator("[name=users]:checked")).to_have_count(1)
    expect(page.get_by_label("Change several people")).to_have_value("deactivate")


def test_people_are_found_while_typing_filtered_and_sorted(users: Page, picture: Callable[[Page, str], None]) -> None:
    page = users
    expect(counted(page)).to_have_text("1–25 of 65")
    page.locator("body").press("/")
    search = page.get_by_label("Name, username or e-mail")
    expect(search).to_be_focused()
    page.keyboard.type("briain")
    expect(counted(page)).to_have_text("1–1 of 1")
    expect(search).to_be_focused()
    expect(search).to_have_value("briain")
    expect(page.locator("#announcer")).to_have_text("1 shown")
    assert "q=briain" in page.url
    search.fill("zzz/zzz")
    expect(counted(page)).to_have_text("Nobody fits this search.")
    search.fill("person")
    page.locator("#state").select_option(label="Deactivated")
    expect(counted(page)).to_have_text("1–1 of 1")
    expect(page.locator(".chips li")).to_have_count(3)
    assert "state=deactivated" in page.url
    picture(page, "users-filtered")
    sound(page, "filtered users")
    page.reload()
    expect(search).to_have_value("person")
    expect(page.locator("#state")).to_have_value("deactivated")
    page.locator(".chips a", has_text="Deactivated").click()
    expect(page.locator(".chips li")).to_have_count(2)
    page.get_by_role("link", name="Clear all").click()
    expect(counted(page)).to_have_text("1–25 of 65")
    expect(page.get_by_label("Name, username or e-mail")).to_have_value("")
    page.get_by_role("columnheader", name="E-mail").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="E-mail")).to_have_attribute("aria-sort", "ascending")
    expect(rows(page).first).to_contain_text("admin2@acme.example")
    page.get_by_role("columnheader", name="E-mail").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="E-mail")).to_have_attribute("aria-sort", "descending")
    assert "sort=-email" in page.url
    page.get_by_label("Name, username or e-mail").fill("person")
    expect(counted(page)).to_have_text("1–25 of 59")
    expect(page.get_by_role("columnheader", name="E-mail")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(counted(page)).to_have_text("26–50 of 59")
    page.go_back()
    expect(counted(page)).to_have_text("1–25 of 59")
    expect(page.get_by_label("Name, username or e-mail")).to_have_value("person")


def test_the_own_row_asks_why_in_one_line_and_a_time_of_today_says_so(users: Page, picture: Callable[[Page, str], None]) -> None:
    page = users
    page.goto("/users?q=admin@acme")
    own = row(page, "CANARY-acme Admin")
    expect(own.locator("time")).to_have_text(re.compile(r"today, \d\d:\d\d"))
    expect(own.locator("summary")).to_contain_text("Why can I not change this?")
    assert own.locator("summary").bounding_box()["height"] <= 34, "two lines of small print, which a row of 36 pixels holds"
    picture(page, "users-own-row")


def test_an_answer_that_comes_late_does_not_stand_under_newer_words(users: Page) -> None:
    page = users

    def late(route: Any) -> None:
        page.wait_for_timeout(1_500)
        route.continue_()

    page.route("**/users?q=mar&**", late)
    search = page.get_by_label("Name, username or e-mail")
    with page.expect_request("**/users?q=mar&**"):
        search.press_sequentially("mar")
    search.fill("briain")
    page.wait_for_timeout(3_000)
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("Ó Briain")
    assert "q=briain" in page.url


def test_a_role_is_changed_in_the_row_and_a_refusal_is_said_there(users: Page, owner: Any, picture: Callable[[Page, str], None]) -> None:
    page = users
    page.get_by_label("Name, username or e-mail").fill("mara")
    expect(rows(page)).to_have_count(1)
    mara = change_role(page, "Mara Ortiz", "Organization admin")
    expect(mara.get_by_role("status")).to_have_text("Mara Ortiz is now organization admin, and signs in anew.")
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    change_role(page, "Mara Ortiz", "User")
    expect(mara.get_by_role("status")).to_contain_text("is now user")
    change_role(page, "Mara Ortiz", "Organization admin")
    expect(mara.get_by_role("alert")).to_contain_text("once more")
    expect(mara.get_by_label("Your password")).to_be_focused()
    expect(mara.get_by_label("Role of Mara Ortiz")).to_have_value("org_admin")
    picture(page, "users-refused")
    sound(page, "a row that asks for the password")
    mara.get_by_label("Your password").fill("not my password at all")
    page.keyboard.press("Enter")
    expect(mara.get_by_role("alert")).to_contain_text("not your password")
    owner.execute("UPDATE users SET removed_at = now(), first_name = NULL, last_name = NULL, username = NULL, username_key = NULL, email = NULL, "
                  "email_key = NULL, hashed_password = NULL, search_text = NULL, is_active = false WHERE last_name = 'Ortiz'")  # fmt: skip
    mara.get_by_role("button", name="Change the role of Mara Ortiz").click()
    gone = row(page, "Removed user")
    expect(gone).to_contain_text("This account was removed")
    expect(gone.get_by_role("button")).to_have_count(0)


def test_somebody_is_deactivated_through_the_dialog_and_reactivated(
    users: Page, tab: Open, crowded: SimpleNamespace, picture: Callable[[Page, str], None]
) -> None:
    page, theirs = users, tab()
    sign_in(theirs, crowded.acme.user)
    page.get_by_label("Name, username or e-mail").fill("user@acme")
    expect(rows(page)).to_have_count(1)
    one, dialog = rows(page).first, page.get_by_role("dialog")
    opens = one.get_by_role("button", name="Manage CANARY-acme User")
    opens.click()
    one.get_by_role("link", name="Deactivate").click()
    expect(dialog).to_be_visible()
    expect(dialog).to_have_accessible_name("Deactivate CANARY-acme User?")
    expect(dialog.locator(":focus")).to_have_count(1)
    picture(page, "users-deactivate")
    sound(page, "the dialog of deactivation")
    for _ in range(5):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)"
        )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opens).to_be_focused()
    opens.press("Enter")
    one.get_by_role("link", name="Deactivate").press("Enter")
    dialog.get_by_role("link", name="Keep active").click()
    expect(dialog).to_be_hidden()
    expect(opens).to_be_focused()
    opens.click()
    one.get_by_role("link", name="Deactivate").click()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog).to_be_hidden()
    expect(one.get_by_role("status")).to_have_text("CANARY-acme User is deactivated and signed out everywhere.")
    expect(one.locator(":focus")).to_have_count(1)
    theirs.get_by_role("link", name="Overview").first.click()
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Sign in")
    opens.click()
    one.get_by_role("button", name="Reactivate").click()
    expect(one.get_by_role("status")).to_have_text("CANARY-acme User can sign in again.")
    expect(one.locator(":focus")).to_have_count(1)
    sign_in(theirs, crowded.acme.user)


def test_a_dialog_over_an_account_that_changed_meanwhile_says_why_not(users: Page, owner: Any) -> None:
    page = users
    page.get_by_label("Name, username or e-mail").fill("mara")
    expect(rows(page)).to_have_count(1)
    one, dialog = manage(page, "Mara Ortiz"), page.get_by_role("dialog")
    one.get_by_role("link", name="Deactivate").click()
    expect(dialog).to_be_visible()
    owner.execute("UPDATE users SET is_active = false WHERE last_name = 'Ortiz'")
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog).to_be_hidden()
    expect(one.get_by_role("alert")).to_have_text("Only an active account can be deactivated.")
    owner.execute("UPDATE users SET is_active = true WHERE last_name = 'Ortiz'")
    page.reload()
    deactivate = manage(page, "Mara Ortiz").get_by_role("link", name="Deactivate")
    expect(deactivate).to_be_visible()
    owner.execute("UPDATE users SET is_active = false WHERE last_name = 'Ortiz'")
    deactivate.click()
    expect(dialog).to_contain_text("Only an active account can be deactivated.")
    sound(page, "a dialog that says why not")
    dialog.get_by_role("link", name="Back").click()
    expect(dialog).to_be_hidden()


def test_an_administrator_whose_session_ended_is_led_to_the_sign_in_page_from_a_row(users: Page, owner: Any) -> None:
    page = users
    owner.execute("DELETE FROM sessions")
    manage(page, "Person 00010")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_an_act_from_a_menu_that_was_open_leads_to_the_sign_in_page_too(users: Page, owner: Any) -> None:
    page = users
    sign_out = manage(page, "Person 00010").get_by_role("button", name="Sign out")
    expect(sign_out).to_be_visible()
    owner.execute("DELETE FROM sessions")
    sign_out.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_everything_is_done_without_script(tab: Open, crowded: SimpleNamespace, owner: Any) -> None:
    page = tab(script=False)
    sign_in(page, crowded.acme.admin)
    page.goto("/users")
    page.get_by_label("Name, username or e-mail").fill("mara")
    page.locator("#state").select_option(label="Active")
    page.get_by_role("button", name="Search").click()
    expect(counted(page)).to_have_text("1–1 of 1")
    manage(page, "Mara Ortiz").get_by_role("link", name="Open Mara Ortiz's page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mara Ortiz")
    page.get_by_label("Role", exact=True).select_option(label="Organization admin")
    page.get_by_role("button", name="Change role").click()
    expect(page.locator(".notice").first).to_contain_text("Mara Ortiz is now organization admin")
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    for role in ("User", "Organization admin"):
        page.get_by_label("Role", exact=True).select_option(label=role)
        page.get_by_role("button", name="Change role").click()
    expect(page.locator("#faults")).to_contain_text("once more")
    expect(page.get_by_label("Role", exact=True)).to_have_value("org_admin")
    page.get_by_label("Your password").fill(crowded.acme.admin.password)
    page.get_by_role("button", name="Change role").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mara Ortiz")
    expect(page.locator(".facts")).to_contain_text("Organization admin")
    page.get_by_role("link", name="Deactivate").click()
    page.get_by_role("button", name="Deactivate").click()
    expect(page.locator(".notice").first).to_contain_text("is deactivated")
    page.goto("/users?q=mara")
    manage(page, "Mara Ortiz").get_by_role("link", name="Open Mara Ortiz's page").click()
    page.get_by_role("button", name="Reactivate").click()
    expect(page.locator(".notice").first).to_contain_text("can sign in again")
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.locator(".notice").first).to_contain_text("signed out everywhere")
    page.get_by_role("link", name="Deactivate").click()
    page.get_by_role("button", name="Deactivate").click()
    page.goto("/users?q=mara")
    page.get_by_role("link", name="Mara Ortiz", exact=True).click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_label("Full name").fill("Somebody else")
    page.get_by_role("button", name="Remove for good").click()
    expect(page.locator("#faults")).to_contain_text("This is not the name.")
    page.get_by_label("Full name").fill("mara ortiz")
    page.get_by_role("button", name="Remove for good").click()
    expect(page.locator(".notice").first).to_contain_text("The account was removed.")
    page.goto("/users")
    page.get_by_role("columnheader", name="Last sign-in").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Last sign-in")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(counted(page)).to_have_text("26–50 of 64")
    page.get_by_text("Columns and rows").click()
    page.get_by_role("checkbox", name="Username").check()
    page.get_by_role("checkbox", name="E-mail").uncheck()
    page.get_by_role("radio", name="100").check()
    page.get_by_role("button", name="Keep this on my account").click()
    expect(counted(page)).to_have_text("1–64 of 64")
    expect(page.get_by_role("columnheader", name="Username")).to_have_count(1)
    expect(page.get_by_role("columnheader", name="E-mail")).to_have_count(0)


def test_the_administration_is_handed_over(users: Page, crowded: SimpleNamespace) -> None:
    page = users
    page.get_by_label("Name, username or e-mail").fill("user@acme")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="CANARY-acme User", exact=True).click()
    page.get_by_role("link", name="Hand over the administration").click()
    expect(page.locator("body")).to_contain_text("becomes organization admin in your place")
    sound(page, "handing over")
    page.get_by_role("button", name="Hand over").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.locator("body")).to_contain_text("You handed over the administration.")
    sign_in(page, crowded.acme.user)
    page.goto("/users")
    expect(page.get_by_role("heading", level=1)).to_have_text("Users")


def test_the_keyboard_alone_finds_somebody_changes_the_role_and_deactivates(users: Page, owner: Any) -> None:
    page = users
    page.keyboard.press("/")
    page.keyboard.type("mara")
    expect(rows(page)).to_have_count(1)
    tab_to(page, "Manage Mara Ortiz")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Role of Mara Ortiz")).to_be_visible()
    tab_to(page, "Role of Mara Ortiz")
    page.keyboard.type("Org")
    tab_to(page, "Change the role of Mara Ortiz")
    page.keyboard.press("Enter")
    expect(row(page, "Mara Ortiz").get_by_role("status")).to_contain_text("is now organization admin")
    tab_to(page, "Manage Mara Ortiz")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Deactivate Mara Ortiz")).to_be_visible()
    tab_to(page, "Deactivate Mara Ortiz …")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    tab_to(page, "Deactivate")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(row(page, "Mara Ortiz").get_by_role("status")).to_contain_text("is deactivated")
    tab_to(page, "Manage Mara Ortiz")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Reactivate Mara Ortiz")).to_be_visible()
    tab_to(page, "Reactivate Mara Ortiz")
    page.keyboard.press("Enter")
    expect(row(page, "Mara Ortiz").get_by_role("status")).to_contain_text("can sign in again")
    owner.execute("SELECT role, state FROM users WHERE last_name = 'Ortiz'")
    assert owner.fetchone() == ("org_admin", "active")


def people_of_a_house(tenant: UUID) -> Iterator[dict[str, Any]]:
    """Sixty people with names that people have, and each with a state and a last sign-in of some time."""
    states: dict[int, dict[str, Any]] = {2: {**INVITED, "username": None}, 5: {"is_active": False}, 11: {"role": "org_admin"}}
    for number in range(60):
        first, last = FIRST[number % 18], LAST[number * 7 % 17]
        account = {"username": f"{first}.{last}".lower(), "email": f"{first[0]}.{last}@quiet-harbour.example".lower()}
        seen = None if number % 13 == 2 else NOW - timedelta(hours=number * 5)
        yield person(tenant, number, first_name=first, last_name=last, last_sign_in_at=seen, **{**account, **states.get(number % 13, {})})


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called so has the focus; at most 30 times, so that nobody has to go round the whole page."""
    for _ in range(30):
        page.keyboard.press("Tab")
        said = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
        if " ".join(str(said).split()) == name:
            return
    raise AssertionError(f"Tab does not lead to {name}")


def test_a_row_is_one_line_and_the_table_fits_beside_the_navigation(tab: Open, owner: Any, picture: Callable[[Page, str], None]) -> None:
    """44 pixels, 36 where the reader wants tables close together; 24 at least for whatever is pressed."""
    page = tab()
    owner.execute("SELECT id FROM tenants WHERE subdomain = %s", [register(page)])
    put(owner, list(people_of_a_house(UUID(owner.fetchone()[0]))))
    for height, density in ((36, "compact"), (44, "comfortable")):
        owner.execute("UPDATE users SET density = %s", [density])
        page.goto("/users")
        assert set(page.evaluate("[...document.querySelectorAll('#users tbody tr')].map((row) => row.offsetHeight)")) == {height}
        assert page.evaluate("((box) => box.scrollWidth - box.clientWidth)(document.querySelector('.table-box'))") <= 0
        assert min(page.evaluate("[...document.querySelectorAll('#users .opens')].map((button) => button.offsetHeight)")) >= 24
    page.set_viewport_size({**WIDE, "height": 1_800})
    rows(page).nth(3).get_by_role("button", name="Manage").click()
    picture(page, "users")


@pytest.mark.parametrize(("name", "size", "dark"), LOOKS, ids=[look[0] for look in LOOKS])
def test_a_full_table_has_no_fault_of_accessibility(
    tab: Open, crowded: SimpleNamespace, picture: Callable[[Page, str], None], name: str, size: dict[str, int], dark: bool
) -> None:
    page = tab(size=size, dark=dark)
    sign_in(page, crowded.acme.admin)
    removed = person(crowded.acme.id, 7)["id"]
    for path in ("/users", "/users?rows=50&sort=-name", "/users?state=removed", "/users?state=invited", f"/users/{removed}"):
        page.goto(path)
        sound(page, path)
        assert overflow(page) <= 0
        picture(page, f"users{path.removeprefix('/users').translate(str.maketrans('?=&/', '----'))[:24]}-{name}")
    page.goto("/users?q=person&state=deactivated")
    rows(page).first.get_by_role("button", name="Manage").click()
    sound(page, "a row with its menu open")
    picture(page, f"users-menu-{name}")
    page.get_by_role("button", name="Reactivate").click()
    expect(rows(page).get_by_role("status")).to_be_visible()
    sound(page, "a row with a notice")


def test_a_narrow_window_shows_every_row_as_a_card(tab: Open, crowded: SimpleNamespace, picture: Callable[[Page, str], None]) -> None:
    page = tab(size=NARROW)
    sign_in(page, crowded.acme.admin)
    page.goto("/users?q=mara")
    mara = manage(page, "Mara Ortiz")
    mara.get_by_role("link", name="Deactivate").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    picture(page, "users-deactivate-narrow")
    assert overflow(page) <= 0
    page.keyboard.press("Escape")
    change_role(page, "Mara Ortiz", "Organization admin")
    expect(mara.get_by_role("status")).to_contain_text("is now organization admin")
    assert overflow(page) <= 0
