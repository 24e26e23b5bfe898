"""Confirming an e-mail address by a link: after registering and joining, and before another address takes the place of the old one."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.account.services import DEAD
from portal.config import Settings
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.values import fingerprint
from tests.steps import (
    accept,
    at_once,
    at_the_same_moment,
    attempt,
    doing,
    invite,
    join,
    link_in,
    make_code,
    posting,
    register,
    registration,
    upload,
)

ELSEWHERE = "Mara@Elsewhere.example"


def ask(browser: Browser, email: str = ELSEWHERE, *, expect: int = 303) -> Any:
    return browser.post("account.email", {"email": email}, expect=expect)


def letters(owner: Any, recipient: str) -> list[str]:
    owner.execute("SELECT body_text FROM outbox WHERE recipient = %s ORDER BY id", (recipient,))
    return [row[0] for row in owner.fetchall()]


def links(owner: Any, recipient: str = ELSEWHERE) -> list[str]:
    """The paths of the links that were mailed to an address, the oldest first."""
    found = (re.search(r"http://localhost:8000(/account/confirm/\S+)", text) for text in letters(owner, recipient))
    return [one[1] for one in found if one]


def address_of(owner: Any, person: Any) -> tuple[Any, ...]:
    owner.execute("SELECT email, email_key, pending_email, is_verified FROM users WHERE id = %s", (str(person.id),))
    return tuple(owner.fetchone())


def unconfirmed(owner: Any, person: Any) -> None:
    owner.execute("UPDATE users SET is_verified = false WHERE id = %s", (str(person.id),))


def confirm(app: Flask, link: str, *, expect: int = 303) -> Any:
    return Browser(app).post(link, expect=expect)


def test_whoever_registers_gets_a_link_that_confirms_the_address(mailing: Flask, owner: Any) -> None:
    browser = Browser(mailing)
    register(browser, registration())
    (link,) = links(owner, "Mara@QuietHarbour.example")
    page = browser.get("account.index")
    assert "not confirmed" in page.text
    assert "queued" in page.text
    preview = Browser(mailing).get(link)
    assert "Mara@QuietHarbour.example" in preview.heading
    owner.execute("SELECT is_verified FROM users WHERE email_key = 'mara@quietharbour.example'")
    assert owner.fetchone() == (False,), "a look confirms nothing"
    browser.post(link)
    assert "is confirmed" in browser.follow().text
    assert "not confirmed" not in browser.page.text  # type: ignore[union-attr]
    owner.execute("SELECT is_verified FROM users WHERE email_key = 'mara@quietharbour.example'")
    assert owner.fetchone() == (True,)
    owner.execute("SELECT actor_name, changes FROM audit_entries WHERE action = 'email_confirmed'")
    assert owner.fetchall() == [("Mara Ortiz", {})]


@pytest.mark.parametrize("approval", ["", "y"])
def test_whoever_joins_by_a_code_gets_one_too(mailing: Flask, cast: SimpleNamespace, owner: Any, approval: str) -> None:
    code = make_code(Browser(mailing).sign_in(cast.acme.admin), needs_approval=approval)
    join(mailing, code)
    (link,) = links(owner, "mara@x.example")
    confirm(mailing, link)
    owner.execute("SELECT is_verified, is_active FROM users WHERE email = 'mara@x.example'")
    assert owner.fetchone() == (True, not approval)


def test_without_a_mail_server_no_link_is_made_and_the_page_says_so(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    unconfirmed(owner, cast.acme.user)
    here = Browser(app).sign_in(cast.acme.user)
    ask(here)
    page = here.follow()
    assert "this portal sends no mail: no mail server is configured" in page.text
    assert "Mail me a new link" not in page.text
    here.post("account.send_confirmation", expect=422)
    owner.execute("SELECT (SELECT count(*) FROM mail_links), (SELECT count(*) FROM outbox)")
    assert owner.fetchone() == (0, 0)


def test_another_address_is_confirmed_there_and_the_old_one_is_told(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    user = cast.acme.user
    here = Browser(mailing).sign_in(user)
    ask(here)
    assert "queued" in here.follow().text
    (told,) = letters(owner, user.email)
    assert ELSEWHERE in told
    assert "/confirm/" not in told
    assert address_of(owner, user) == (user.email, user.email, ELSEWHERE, True)
    (link,) = links(owner)
    assert "replaces the current address" in Browser(mailing).get(link).text
    confirm(mailing, link)
    assert address_of(owner, user) == (ELSEWHERE, ELSEWHERE.lower(), None, True)
    assert ELSEWHERE in here.get("account.index").text
    owner.execute("SELECT changes FROM audit_entries WHERE action = 'email_changed'")
    assert owner.fetchall() == [({"e-mail": [user.email, ELSEWHERE]},)]
    owner.execute("SELECT count(*) FROM users WHERE search_text LIKE '%%mara@elsewhere.example%%'")
    assert owner.fetchone() == (1,)
    attempt(Browser(mailing), user, expect=422)
    attempt(Browser(mailing), SimpleNamespace(subdomain="acme", email=ELSEWHERE, password=PASSWORD), expect=303)


def test_platform_people_change_their_address_too(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    ask(Browser(mailing).sign_in(cast.platform.admin))
    confirm(mailing, links(owner)[0])
    assert address_of(owner, cast.platform.admin)[0] == ELSEWHERE


def test_an_address_that_somebody_else_has_by_then_is_refused_in_words(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    ask(Browser(mailing).sign_in(cast.acme.user))
    (link,) = links(owner)
    owner.execute("UPDATE users SET email = %s, email_key = lower(%s) WHERE id = %s", (ELSEWHERE, ELSEWHERE, str(cast.acme.user2.id)))
    assert "Another account of CANARY-acme House has" in confirm(mailing, link, expect=422).text
    assert address_of(owner, cast.acme.user)[0] == cast.acme.user.email
    owner.execute("UPDATE users SET email = 'x@x.example', email_key = 'x@x.example' WHERE id = %s", (str(cast.acme.user2.id),))
    ask(Browser(mailing).sign_in(cast.globex.user))
    confirm(mailing, link)


def test_a_new_link_kills_the_old_one(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    unconfirmed(owner, cast.acme.user)
    here = Browser(mailing).sign_in(cast.acme.user)
    assert "No confirmation link was sent yet" in here.get("account.index").text
    for _ in range(2):
        here.post("account.send_confirmation")
    assert "Earlier links no longer work" in here.follow().text
    old, new = links(owner, cast.acme.user.email)
    confirm(mailing, old, expect=404)
    confirm(mailing, new)
    unconfirmed(owner, cast.acme.user)
    confirm(mailing, new, expect=404)
    Browser(mailing).get(new, expect=404)
    owner.execute("UPDATE users SET is_verified = true")
    here.post("account.send_confirmation", expect=422)


def test_a_link_dies_of_time_of_another_wish_and_of_a_new_password(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    user = cast.acme.user
    ends = {
        "over": "UPDATE mail_links SET expires_at = now()",
        "kept": "UPDATE users SET pending_email = NULL, pending_email_at = NULL WHERE id = %(id)s",
        "another wish": "UPDATE users SET pending_email = 'third@x.example' WHERE id = %(id)s",
        "new password": "UPDATE users SET auth_epoch = auth_epoch + 1 WHERE id = %(id)s",
        "deactivated": "UPDATE users SET is_active = false WHERE id = %(id)s",
        "suspended": "UPDATE tenants SET is_active = false WHERE subdomain = 'acme'",
    }
    for number, statement in enumerate(ends.values()):
        owner.execute("DELETE FROM rate_limits")
        ask(Browser(mailing).sign_in(user), f"mara{number}@x.example")
        (link,) = links(owner, f"mara{number}@x.example")
        Browser(mailing).get(link)
        owner.execute(statement, {"id": str(user.id)})
        Browser(mailing).get(link, expect=404)
        assert confirm(mailing, link, expect=404).select_one(".message").get_text(strip=True) == DEAD
        owner.execute("UPDATE users SET is_active = true WHERE id = %s; UPDATE tenants SET is_active = true", (str(user.id),))
    assert address_of(owner, user)[0] == user.email


def test_an_altered_a_foreign_or_an_empty_secret_confirms_nothing(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    ask(Browser(mailing).sign_in(cast.acme.user))
    (link,) = links(owner)
    tenant, _, secret = link.rpartition("/")[2].partition(".")
    for credential in (f"{cast.globex.id.hex}.{secret}", f"{tenant}.{secret}x", f"{tenant}.", tenant, ".", "x"):
        page = confirm(mailing, f"/account/confirm/{credential}", expect=404)
        assert page.select_one(".message").get_text(strip=True) == DEAD
    Browser(mailing).get(f"/reset/{tenant}.{secret}", expect=404)
    owner.execute("SELECT secret_hash FROM mail_links")
    assert bytes(owner.fetchone()[0]) == fingerprint(secret)
    confirm(mailing, link)


def test_of_twenty_who_use_one_link_at_once_one_confirms(
    mailing: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(Browser(mailing).sign_in(cast.acme.user))
    (link,) = links(owner)
    forms = [(browser, {"csrf_token": browser.token()}) for browser in (Browser(mailing) for _ in range(20))]
    at_the_same_moment(monkeypatch, len(forms))
    assert sorted(at_once(*(posting(browser, link, data) for browser, data in forms))) == [303] + [404] * 19
    owner.execute("SELECT count(*) FROM audit_entries WHERE action IN ('email_changed', 'email_confirmed')")
    assert owner.fetchone() == (1,)


def test_nobody_sends_many_mails_to_strangers(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(mailing).sign_in(cast.acme.user)
    for number in range(5):
        ask(here, f"stranger{number}@x.example")
    assert ask(here, "stranger6@x.example", expect=429).response.headers["Retry-After"]
    here.post("account.send_confirmation", expect=429)
    owner.execute("SELECT count(*) FROM outbox WHERE recipient LIKE 'stranger%%'")
    assert owner.fetchone() == (5,)


def test_nobody_asks_for_address_after_address_to_learn_who_is_here(mailing: Flask, cast: SimpleNamespace) -> None:
    here = Browser(mailing).sign_in(cast.acme.user)
    for _ in range(5):
        ask(here, cast.acme.admin.email, expect=422)
    ask(here, cast.acme.admin2.email, expect=429)


def test_a_stranger_is_not_buried_in_mail_by_whoever_registers_or_joins(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    """Each from another network, so that only the mailbox is common to them."""
    for number in range(20):
        visitor = Browser(mailing, f"203.0.113.{number}")
        register(visitor, registration(subdomain=f"house-{number}", admin_email="Victim@x.example"))
    late = Browser(mailing, "203.0.113.99")
    register(late, registration(subdomain="house-20", admin_email="victim@X.example"), expect=429)
    owner.execute("SELECT count(*) FROM tenants WHERE subdomain = 'house-20'")
    assert owner.fetchone() == (0,), "all or nothing"
    code = make_code(Browser(mailing).sign_in(cast.acme.admin))
    join(mailing, code, email="victim@x.example", address="203.0.113.98", expect=429)
    owner.execute("SELECT count(*) FROM outbox WHERE recipient ILIKE 'victim@%%'")
    assert owner.fetchone() == (40,), "a welcome and a link for each"
    join(mailing, code, email="somebody@x.example", address="203.0.113.98")


def test_an_invitation_is_not_mailed_again_and_again_whatever_way(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(mailing).sign_in(cast.acme.admin)
    for _ in range(10):
        invite(admin, "victim@x.example")
        owner.execute("SELECT id::text FROM invitations")
        (pending,) = owner.fetchone()
        admin.post("invitations.send_again", invitation_id=pending, expect=200)
        admin.post("invitations.withdraw", invitation_id=pending)
    invite(admin, "new@x.example, VICTIM@x.example", expect=429)
    owner.execute("SELECT count(*) FROM outbox")
    assert owner.fetchone() == (20,), "of what was withdrawn is kept that it was to be mailed"
    invite(admin, "new@x.example")
    invite(Browser(mailing).sign_in(cast.globex.admin), "victim@x.example")


def test_an_address_that_is_given_up_on_kills_the_mailed_link_for_a_password_too(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    """Whoever reads the old mailbox has no way back."""
    user, secret = cast.acme.user, "an old secret"
    owner.execute(
        """INSERT INTO mail_links (tenant_id, id, kind, user_id, secret_hash, email, auth_epoch, expires_at)
           VALUES (%s, gen_random_uuid(), 'password', %s, %s, %s, 0, now() + interval '1 hour')""",
        (str(user.tenant_id), str(user.id), fingerprint(secret), user.email),
    )
    link = f"/reset/{user.tenant_id.hex}.{secret}"
    Browser(mailing).get(link)
    ask(Browser(mailing).sign_in(user))
    confirm(mailing, links(owner)[0])
    Browser(mailing).get(link, expect=404)


# Nobody has others mailed before the own address is known


FIRST = "Confirm your e-mail address first"
MAIL_ME = 'main form[action="/account/email/confirmation"]'


def number(owner: Any, what: str) -> int:
    owner.execute(f"SELECT count(*) FROM {what}")
    return int(owner.fetchone()[0])


def test_whoever_registers_invites_nobody_before_the_address_is_confirmed(mailing: Flask, owner: Any) -> None:
    browser = Browser(mailing)
    register(browser, registration())
    page = browser.get("invitations.invite")
    assert FIRST in page.text
    assert not page.select("[name=addresses]")
    assert FIRST in invite(browser, "stranger@x.example", expect=422).text
    assert FIRST in browser.get("users.access").text
    assert letters(owner, "stranger@x.example") == []
    assert number(owner, "users WHERE email = 'stranger@x.example'") == 0
    browser.post(page.select_one(MAIL_ME)["action"], page.form(MAIL_ME))
    assert "is on its way" in browser.follow().text
    confirm(mailing, links(owner, "Mara@QuietHarbour.example")[-1])
    assert not browser.get("invitations.invite").select(MAIL_ME)
    invite(browser, "stranger@x.example")
    assert len(letters(owner, "stranger@x.example")) == 1
    assert FIRST not in browser.get("users.access").text


def test_where_no_mail_is_sent_nobody_need_confirm(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    unconfirmed(owner, cast.acme.admin)
    admin = Browser(app).sign_in(cast.acme.admin)
    invite(admin, "new@x.example")
    for door in ("invitations.invite", "invitations.index", "imports.new", "users.access"):
        assert FIRST not in admin.get(door).text, door


def test_an_invitation_is_sent_again_by_whose_address_is_confirmed_and_withdrawn_by_others_too(
    mailing: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    admin = Browser(mailing).sign_in(cast.acme.admin)
    invite(admin, "new@x.example")
    path = admin.get("invitations.index").select_one("form[action$=send-again]")["action"]
    unconfirmed(owner, cast.acme.admin)
    page = admin.get("invitations.index")
    assert FIRST in page.text
    assert page.select(MAIL_ME)
    assert not page.select("form[action$=send-again]")
    assert FIRST in admin.post(path, expect=422).select_one("#faults").text
    assert len(letters(owner, "new@x.example")) == 1
    admin.post(page.select_one("form[action$=withdraw]")["action"])
    assert number(owner, "users WHERE email = 'new@x.example'") == 0


@pytest.mark.parametrize("when", ["upload", "begin", "job"])
def test_a_file_invites_nobody_before_the_address_is_confirmed(
    mailing: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
    when: str,
) -> None:
    admin, file = Browser(mailing).sign_in(cast.acme.admin), "email\nstranger@x.example\n"
    if when == "upload":
        unconfirmed(owner, cast.acme.admin)
        assert FIRST in admin.get("imports.new").text
        assert FIRST in upload(admin, file, expect=422).select_one("#faults").text
        assert number(owner, "uploads") == 0
        upload(admin, "email,username\nstranger@x.example,stranger\n", become="deactivated")
        assert admin.page is not None
        return
    work = doing(mailing, settings)
    upload(admin, file)
    work.act(worker)
    path = admin.follow().select_one("#report a")["href"]
    form = admin.get(path).form()
    if when == "begin":
        unconfirmed(owner, cast.acme.admin)
        assert admin.get(path).select(MAIL_ME)
    begun = admin.post(f"{path}/begin", form, expect=422 if when == "begin" else 303)
    if when == "begin":
        assert FIRST in begun.select_one("#faults").text
    else:
        unconfirmed(owner, cast.acme.admin)
        work.act(worker)
        assert FIRST in admin.follow().select_one("#job .refused").text
    assert letters(owner, "stranger@x.example") == []
    assert number(owner, "users WHERE email = 'stranger@x.example'") == 0


def test_whoever_accepted_an_invitation_invites_at_once(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    link = link_in(invite(Browser(mailing).sign_in(cast.acme.admin), "ola@x.example", role="org_admin"))
    browser, _ = accept(mailing, link)
    invite(browser, "stranger@x.example")
    assert len(letters(owner, "stranger@x.example")) == 1
