"""People follow the links that they get by mail in a real browser: the worker mails them, a real mail server takes them."""

import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.testing.cast import PASSWORD
from tests.e2e.conftest import Open, serving
from tests.e2e.steps import sign_in, sound_in_every_look
from tests.mailserver import Mailbox, mail_server
from tests.steps import SENDER, until, workers

NEW = "seven herons over the marsh at dawn"


@pytest.fixture
def mailbox(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A portal that has a mail server, and the worker's own process beside it: its `address`, and what the server `took`."""
    with (
        mail_server() as took,
        serving(cluster, database, tmp_path, mail_url=took.url, mail_from=SENDER) as address,
        workers(1, cluster, database, PUBLIC_URL=address, MAIL_URL=took.url),
    ):
        yield SimpleNamespace(address=address, took=took)


def mail_to(took: Mailbox, address: str) -> EmailMessage:
    """The only mail that came to this address; waits for it."""
    assert until(lambda: any(recipient == address for _, recipient, _ in took.taken), seconds=30), took.taken
    (found,) = [message for message, (_, to, _) in zip(took.messages, took.taken, strict=True) if to == address]
    return found


def link_in(mail: EmailMessage, path: str) -> str:
    """The link, which stands alike in both parts of the mail."""
    links = set()
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        links.add(re.search(rf"http://[^\s\"<]+/{path}/[\w.~-]+", part.get_content())[0])  # type: ignore[index]
    (link,) = links
    return str(link)


def test_a_forgotten_password_is_chosen_anew_by_the_mails_link(
    tab: Open, cast: SimpleNamespace, mailbox: SimpleNamespace, picture: Callable[[Page, str], None]
) -> None:
    page, elsewhere = tab(base_url=mailbox.address), tab(base_url=mailbox.address)
    sign_in(elsewhere, cast.acme.user)
    page.goto("/sign-in?organization=acme")
    page.get_by_role("link", name="Forgotten password?").click()
    expect(page.get_by_label("Organization")).to_have_value("acme")
    sound_in_every_look(page, "a forgotten password")
    picture(page, "forgotten")
    page.get_by_label("E-mail or username").fill(cast.acme.user.username)
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.locator("#said")).to_contain_text("If this account exists and may sign in, a link for a new password is on its way")
    link = link_in(mail_to(mailbox.took, cast.acme.user.email), "reset")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("A new password")
    sound_in_every_look(page, "choosing a new password")
    picture(page, "reset")
    page.get_by_label("New password").fill("too short")
    page.get_by_role("button", name="Save new password").click()
    expect(page.get_by_label("New password")).to_be_focused()
    expect(page.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    sound_in_every_look(page, "a new password that is refused")
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Save new password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.locator("#said")).to_contain_text("Your new password is kept, and every session of your account was ended.")
    expect(page.get_by_label("Organization")).to_have_value("acme")
    for password, heading in ((PASSWORD, "Sign in"), (NEW, "Overview")):
        page.get_by_label("E-mail or username").fill(cast.acme.user.email)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    elsewhere.goto("/")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Sign in")
    elsewhere.goto(link)
    expect(elsewhere.locator("main")).to_contain_text("This link does not work: it was used or replaced")


def test_another_address_is_confirmed_by_the_mails_link(
    tab: Open, cast: SimpleNamespace, mailbox: SimpleNamespace, picture: Callable[[Page, str], None]
) -> None:
    page = tab(base_url=mailbox.address)
    sign_in(page, cast.acme.user)
    page.goto("/account")
    page.get_by_label("New e-mail").fill("mara@elsewhere.example")
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.locator(".waiting")).to_contain_text("mara@elsewhere.example")
    told = mail_to(mailbox.took, cast.acme.user.email)
    assert "mara@elsewhere.example was asked for in place of this one" in told.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    link = link_in(mail_to(mailbox.took, "mara@elsewhere.example"), "account/confirm")
    page.reload()
    expect(page.locator(".waiting")).to_contain_text("Confirmation mail: sent")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm mara@elsewhere.example")
    sound_in_every_look(page, "confirming an address")
    picture(page, "confirm")
    page.get_by_role("button", name="Confirm this address").click()
    expect(page.locator("#said")).to_contain_text("mara@elsewhere.example is confirmed.")
    address = page.get_by_role("region", name="E-mail")
    expect(address.locator("p").first).to_have_text("mara@elsewhere.example confirmed")
    expect(page.locator(".waiting")).to_have_count(0)
    page.goto(link)
    expect(page.locator("main")).to_contain_text("This link does not work")


def test_links_by_mail_are_followed_without_script(tab: Open, cast: SimpleNamespace, mailbox: SimpleNamespace) -> None:
    page = tab(base_url=mailbox.address, script=False)
    page.goto("/forgotten?organization=acme")
    page.get_by_label("E-mail or username").fill(cast.acme.user2.email)
    page.get_by_role("button", name="Mail me a link").click()
    page.goto(link_in(mail_to(mailbox.took, cast.acme.user2.email), "reset"))
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Save new password").click()
    sign_in(page, SimpleNamespace(subdomain="acme", email=cast.acme.user2.email, password=NEW))
    page.goto("/account")
    page.get_by_label("New e-mail").fill("ola@elsewhere.example")
    page.get_by_role("button", name="Change e-mail").click()
    page.goto(link_in(mail_to(mailbox.took, "ola@elsewhere.example"), "account/confirm"))
    page.get_by_role("button", name="Confirm this address").click()
    expect(page.locator("#said")).to_contain_text("ola@elsewhere.example is confirmed.")
