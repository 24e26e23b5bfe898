"""People join an organization in a real browser: by an invitation, and by a code."""

from collections.abc import Callable
from types import SimpleNamespace

from playwright.sync_api import Page, expect

from portal.testing.cast import PASSWORD
from tests.e2e.conftest import NARROW, Open
from tests.e2e.steps import overflow, sign_in, sound, sound_in_every_look


def fill_in(page: Page, username: str) -> None:
    page.get_by_label("First name").fill("Mara")
    page.get_by_label("Last name").fill("Ortiz")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)


def test_three_are_invited_and_one_accepts_and_is_deactivated_while_signed_in(
    tab: Open, cast: SimpleNamespace, picture: Callable[[Page, str], None]
) -> None:
    admin, mara = tab(permissions=["clipboard-read", "clipboard-write"]), tab()
    sign_in(admin, cast.acme.admin)
    admin.get_by_role("link", name="Users", exact=True).first.click()
    admin.get_by_role("link", name="Invite people").click()
    admin.get_by_label("E-mail addresses").fill("Mara <mara@x.example>, wei@x.example\nines@x.example, wrong@@x")
    admin.get_by_label("A line from you").fill("Welcome, all of you.")
    sound(admin, "inviting people")
    picture(admin, "invite")
    admin.get_by_role("button", name="Invite", exact=True).click()
    expect(admin.get_by_role("heading", level=2)).to_have_text("3 of 4 invited as user")
    sound(admin, "what became of the invitations")
    picture(admin, "invited")
    row = admin.locator("tr", has_text="mara@x.example")
    row.get_by_role("button", name="Copy").click()
    link = admin.evaluate("navigator.clipboard.readText()")
    assert link == row.locator("input").input_value()
    mara.goto(link)
    expect(mara.get_by_role("heading", level=1)).to_contain_text("Join CANARY-acme House")
    sound(mara, "an invitation")
    picture(mara, "join-invitation")
    fill_in(mara, "mara.ortiz")
    mara.get_by_role("button", name="Join and sign in").click()
    expect(mara.get_by_role("heading", level=1)).to_have_text("Overview")
    admin.get_by_role("link", name="Users", exact=True).first.click()
    person = admin.locator("tr", has_text="mara@x.example")
    person.get_by_role("button", name="Manage").click()
    person.get_by_role("combobox").select_option(label="Organization admin")
    person.get_by_role("button", name="Change").click()
    expect(person).to_contain_text("is now organization admin")
    mara.goto("/users")
    expect(mara.get_by_role("heading", level=1)).to_have_text("Sign in")
    person.get_by_role("button", name="Manage").click()
    person.get_by_role("link", name="Deactivate").click()
    expect(admin.get_by_role("dialog")).to_contain_text("Deactivate Mara Ortiz?")
    picture(admin, "deactivate")
    admin.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    expect(admin.locator("tr", has_text="mara@x.example")).to_contain_text("Deactivated")
    expect(admin.get_by_role("dialog")).to_have_count(0)
    admin.goto("/users/invitations")
    expect(admin.locator("tbody tr")).to_have_count(2)
    sound(admin, "pending invitations")
    picture(admin, "invitations")
    admin.set_viewport_size(NARROW)
    assert overflow(admin) <= 0
    picture(admin, "invitations-narrow")
    wei = admin.locator("tr", has_text="wei@x.example")
    wei.locator("summary", has_text="New link").click()
    wei.get_by_role("button", name="Make a new link").click()
    expect(wei.get_by_role("status")).to_have_text("The new link, shown once:")
    expect(wei.get_by_role("button", name="Withdraw the invitation")).to_be_hidden()
    wei.locator("summary", has_text="Withdraw").click()
    wei.locator("summary", has_text="New link").click()
    sound_in_every_look(admin, "an invitation about to be withdrawn")
    picture(admin, "invitations-asking")
    wei.get_by_role("button", name="Withdraw the invitation").click()
    expect(admin.locator("tbody tr")).to_have_count(1)


def test_somebody_joins_by_a_code_without_script_and_waits(tab: Open, cast: SimpleNamespace, picture: Callable[[Page, str], None]) -> None:
    admin, mara = tab(dark=True), tab(script=False)
    sign_in(admin, cast.acme.admin)
    admin.goto("/users/codes")
    admin.get_by_label("What it is for").fill("The choir")
    admin.get_by_role("button", name="Make a code").click()
    code = admin.locator(".code").inner_text()
    sound(admin, "access codes")
    picture(admin, "codes-dark")
    expect(admin.get_by_role("button", name="Withdraw the code")).to_be_hidden()
    admin.locator("summary", has_text="Withdraw").click()
    expect(admin.get_by_role("button", name="Withdraw the code")).to_be_visible()
    sound(admin, "a code about to be withdrawn")
    picture(admin, "codes-asking")
    mara.goto("/sign-in?organization=acme")
    mara.get_by_role("link", name="Join with it").click()
    mara.get_by_label("Access code").fill(code.lower().replace("-", " "))
    picture(mara, "join-code")
    mara.get_by_role("button", name="Continue").click()
    expect(mara.get_by_role("heading", level=1)).to_contain_text("CANARY-acme House")
    picture(mara, "join-by-code")
    fill_in(mara, "mara.ortiz")
    mara.get_by_label("Your e-mail").fill("mara@x.example")
    mara.get_by_role("button", name="Join", exact=True).click()
    expect(mara.locator("body")).to_contain_text("An administrator decides")
    admin.goto("/users?state=waiting")
    admin.get_by_role("button", name="Accept").click()
    expect(admin.locator("body")).to_contain_text("is accepted and can sign in")
    mara.get_by_label("E-mail or username").fill("mara.ortiz")
    mara.get_by_label("Password", exact=True).fill(PASSWORD)
    mara.get_by_role("button", name="Sign in").click()
    expect(mara.get_by_role("heading", level=1)).to_have_text("Overview")
