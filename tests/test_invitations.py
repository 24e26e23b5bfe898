"""Inviting people, and joining by an invitation."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.invitations.commands import addresses_in
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from tests.steps import WHO, accept, at_once, attempt, invite, link_in, posting, said_before


def fates(page: Any) -> dict[str, str]:
    return {row.select_one("th").get_text(strip=True): row.select_one(".mark").get_text(strip=True) for row in page.select("tbody tr")}


def state_of(owner: Any, email: str) -> str | None:
    owner.execute("SELECT state FROM users WHERE email = %s", (email,))
    row = owner.fetchone()
    return row[0] if row else None


def test_addresses_are_found_in_any_shape() -> None:
    typed = 'Mara Ortiz <mara@x.example>, "Wei, Li" <wei@x.example>; ines@x.example\n\tola@x.example mara@x.example (john@x.example) nobody'
    assert addresses_in(typed) == ["mara@x.example", "wei@x.example", "ines@x.example", "ola@x.example", "john@x.example"]


def test_each_address_gets_its_own_answer(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    invite(admin, "before@x.example")
    page = invite(admin, f"new@x.example, BEFORE@x.example, {cast.acme.user.email.upper()}, wrong@@x, {cast.globex.user.email}")
    assert fates(page) == {
        "new@x.example": "invited",
        "BEFORE@x.example": "invited before",
        cast.acme.user.email.upper(): "here already",
        "wrong@@x": "malformed",
        cast.globex.user.email: "invited",
    }
    assert "No mail server is configured" in page.text
    assert state_of(owner, "new@x.example") == "invited"
    owner.execute("SELECT recipient, subject FROM outbox WHERE recipient = 'new@x.example'")
    assert owner.fetchone() == ("new@x.example", "CANARY-acme Admin invites you to CANARY-acme House")
    owner.execute("SELECT changes->'e-mail'->>1 FROM audit_entries WHERE action = 'users_invited' ORDER BY seq DESC LIMIT 1")
    assert owner.fetchone() == (f"new@x.example, {cast.globex.user.email}",)


def test_the_secret_is_kept_as_a_hash_and_stands_in_no_log(admin: Browser, owner: Any) -> None:
    secret = link_in(invite(admin, "new@x.example")).rpartition(".")[2]
    for table in ("invitations", "users", "audit_entries", "idempotency_keys"):
        owner.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", (f"%{secret}%",))
        assert owner.fetchone() == (0,), table


def test_whoever_accepts_is_signed_in_at_once_and_confirmed(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    link = link_in(invite(admin, "mara@x.example", line="Welcome, Mara. We are glad."))
    preview = Browser(app).get(link)
    assert "CANARY-acme House" in preview.heading
    assert "as user" in preview.text
    assert "We are glad." in preview.text
    browser, _ = accept(app, link)
    assert "Welcome to CANARY-acme House" in browser.follow().text
    owner.execute("SELECT state, is_verified, role, username_key, sort_key FROM users WHERE email = 'mara@x.example'")
    assert owner.fetchone() == ("active", True, "user", "mara.ortiz", "ortiz mara")
    again = Browser(app)
    form = again.get("auth.sign_in", organization="acme").form()
    again.post("auth.sign_in", {**form, "login": "mara@x.example", "password": PASSWORD})
    owner.execute("SELECT actor_name FROM audit_entries WHERE action = 'invitation_accepted'")
    assert owner.fetchall() == [("Mara Ortiz",)]


def test_a_link_works_once_and_dies_when_withdrawn_replaced_over_or_altered(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    used = link_in(invite(admin, "used@x.example"))
    accept(app, used, username="used")
    withdrawn = link_in(invite(admin, "withdrawn@x.example"))
    replaced = link_in(invite(admin, "replaced@x.example"))
    over = link_in(invite(admin, "over@x.example"))
    owner.execute("UPDATE invitations SET expires_at = now() WHERE user_id = (SELECT id FROM users WHERE email = 'over@x.example')")
    ids = {}
    owner.execute("SELECT u.email, i.id::text FROM invitations i JOIN users u ON u.id = i.user_id")
    ids.update(owner.fetchall())
    admin.post(f"/users/invitations/{ids['withdrawn@x.example']}/withdraw")
    fresh = link_in(admin.post(f"/users/invitations/{ids['replaced@x.example']}/send-again", expect=200))
    tenant, _, secret = fresh.rpartition("/")[2].partition(".")
    altered = [
        f"/join/{cast.globex.id.hex}.{secret}",
        f"/join/{tenant}.{secret}x",
        f"/join/{tenant}.",
        "/join/x",
        f"/join/{cast.hades.id.hex}.{secret}",
    ]
    told = set()
    for link in (used, withdrawn, replaced, over, *altered):
        _, page = accept(app, link, expect=404, username="other")
        told.add(page.select_one(".message").get_text(strip=True))
    assert len(told) == 1
    assert "Ask whoever invited you" in told.pop()
    assert state_of(owner, "withdrawn@x.example") is None
    accept(app, fresh, username="fresh")


def test_where_no_mail_is_sent_the_form_promises_none(admin: Browser, mailing: Flask, cast: SimpleNamespace) -> None:
    without = admin.get("invitations.invite").text
    assert "each address gets a link, shown once, which you hand over yourself" in without
    assert "in the mail" not in without
    with_mail = Browser(mailing).sign_in(cast.acme.admin).get("invitations.invite").text
    assert "It stands in the mail, above the link." in with_mail
    assert "No mail server" not in with_mail


def test_what_kills_a_link_says_so_first(admin: Browser, mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    invite(admin, "mara@x.example")
    owner.execute("SELECT id::text FROM invitations")
    path = f"/users/invitations/{owner.fetchone()[0]}"
    page = admin.get("invitations.index")
    asked = said_before(page, f"{path}/send-again")
    assert asked == "The link that is out there stops working at once. The new one is shown here once: hand it over to mara@x.example."
    assert said_before(page, f"{path}/withdraw") == "Its link stops working at once. mara@x.example can be invited anew."
    page = Browser(mailing).sign_in(cast.acme.admin).get("invitations.index")
    asked = said_before(page, f"{path}/send-again")
    assert asked == "The link that is out there stops working at once. The new one is mailed to mara@x.example, and shown here once."
    assert "a mail that waits is not sent" in said_before(page, f"{path}/withdraw")


def test_an_organization_that_was_suspended_takes_nobody_in(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    link = link_in(invite(admin, "mara@x.example"))
    owner.execute("UPDATE tenants SET is_active = false WHERE id = %s", (str(cast.acme.id),))
    accept(app, link, expect=404)


def test_of_ten_who_use_one_link_at_once_one_joins(app: Flask, admin: Browser, owner: Any) -> None:
    link = link_in(invite(admin, "mara@x.example"))
    forms = []
    for number in range(10):
        browser = Browser(app)
        forms.append((browser, {**browser.get(link).form(), **WHO, "username": f"mara{number}"}))
    assert sorted(at_once(*(posting(browser, link, data) for browser, data in forms))) == [303] + [404] * 9
    owner.execute("SELECT count(*) FROM audit_entries WHERE action = 'invitation_accepted'")
    assert owner.fetchone() == (1,)


def test_a_username_of_somebody_else_is_said_beside_the_field_and_the_link_still_works(app: Flask, admin: Browser, owner: Any) -> None:
    link = link_in(invite(admin, "mara@x.example"))
    _, page = accept(app, link, expect=422, username="USER")
    assert "taken" in page.fault("username")
    assert not page.select_one("[name=password]").get("value")
    for wrong in ({"password": "short"}, {"first_name": ""}, {"username": "a b"}):
        accept(app, link, expect=422, **wrong)
    accept(app, link)


def test_rank_holds_for_invitations(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    for role in ("admin", "super_admin"):
        page = invite(admin, "mara@x.example", role=role, expect=422)
        assert "is not given in this organization" in page.fault("role")
    invite(admin, "mara@x.example", role="emperor", expect=422)
    assert state_of(owner, "mara@x.example") is None
    for person, expect in ((cast.acme.user, 403), (cast.platform.admin, 422)):
        browser = Browser(app).sign_in(person)
        browser.post("invitations.invite", {"addresses": "x@x.example", "role": "user", "days": "7"}, expect=expect)
        browser.get("invitations.index", expect=403 if expect == 403 else 200)
    above = Browser(app).sign_in(cast.platform.super)
    link = link_in(invite(above, "new.admin@x.example", role="admin"))
    accept(app, link)
    owner.execute("SELECT role, state FROM users WHERE email = 'new.admin@x.example'")
    assert owner.fetchone() == ("admin", "active")


def test_inviting_an_administrator_asks_for_a_fresh_password_and_keeps_the_typing(admin: Browser, owner: Any) -> None:
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    invite(admin, "plain@x.example")
    page = invite(admin, "boss@x.example", role="org_admin", expect=422)
    assert "once more" in page.fault("password")
    form = page.form()
    assert (form["addresses"].strip(), form["role"]) == ("boss@x.example", "org_admin")
    invite(admin, "boss@x.example", role="org_admin", password=PASSWORD)
    assert state_of(owner, "boss@x.example") == "invited"


def test_a_new_link_to_administer_asks_for_a_fresh_password_too(app: Flask, admin: Browser, owner: Any) -> None:
    """Whoever finds a browser signed in would become an administrator by the invitation of somebody else."""
    links = {
        email: link_in(invite(admin, email, role=role)) for email, role in (("boss@x.example", "org_admin"), ("plain@x.example", "user"))
    }
    owner.execute("SELECT u.email, i.id::text FROM invitations i JOIN users u ON u.id = i.user_id")
    ids = dict(owner.fetchall())
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    assert link_in(admin.post("invitations.send_again", invitation_id=ids["plain@x.example"], expect=200)) != links["plain@x.example"]
    for wrong in ("", "not it"):
        page = admin.post("invitations.send_again", {"password": wrong}, invitation_id=ids["boss@x.example"], expect=422)
        assert page.fault("password")
        assert page.select(f"details[open] form[action*='{ids['boss@x.example']}/send-again']")
        assert "/join/" not in page.response.get_data(as_text=True)
    Browser(app).get(links["boss@x.example"])
    form = page.form(f"form[action*='{ids['boss@x.example']}/send-again']")
    fresh = link_in(admin.post("invitations.send_again", {**form, "password": PASSWORD}, invitation_id=ids["boss@x.example"], expect=200))
    Browser(app).get(links["boss@x.example"], expect=404)
    accept(app, fresh)


def test_a_role_that_was_taken_away_invites_nobody_any_more(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE users SET role = 'user' WHERE id = %s", (str(cast.acme.admin.id),))
    invite(admin, "mara@x.example", expect=403)


@pytest.mark.parametrize(
    ("addresses", "days"),
    [("", "7"), ("nobody", "7"), ("a@x.example", "0"), ("a@x.example", "61"), ("a@x.example", "x"), ("a@x\x00.example", "7")],
)
def test_what_cannot_be_is_refused(admin: Browser, owner: Any, addresses: str, days: str) -> None:
    page = admin.post(
        "invitations.invite", {"addresses": addresses, "role": "user", "days": days}, expect=200 if "\x00" in addresses else 422
    )
    assert page.soup.select("#faults") or set(fates(page).values()) == {"malformed"}
    owner.execute("SELECT count(*) FROM invitations")
    assert owner.fetchone() == (0,)


def test_two_hundred_at_once_and_no_more(admin: Browser, owner: Any) -> None:
    page = invite(admin, "\n".join(f"p{number}@x.example" for number in range(201)), expect=422)
    assert "at most 200" in page.fault("addresses")
    page = invite(admin, "\n".join(f"p{number}@x.example" for number in range(200)))
    assert set(fates(page).values()) == {"invited"}
    page = invite(admin, "\n".join(f"p{number}@x.example" for number in range(200)))
    assert set(fates(page).values()) == {"invited before"}


def test_invited_people_stand_in_the_table_and_cannot_sign_in(app: Flask, admin: Browser) -> None:
    invite(admin, "mara@x.example")
    page = admin.get("users.index", state="invited")
    assert "mara@x.example" in page.text
    assert "Invited" in page.text
    attempt(Browser(app), SimpleNamespace(subdomain="acme", email="mara@x.example", password=PASSWORD), expect=422)


def test_neighbours_see_and_touch_no_invitation(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    invite(admin, "mara@x.example")
    owner.execute("SELECT id::text FROM invitations")
    (invitation,) = owner.fetchone()
    neighbour = Browser(app).sign_in(cast.globex.admin)
    assert "mara@x.example" not in neighbour.get("invitations.index").text
    for act in ("withdraw", "send-again"):
        neighbour.post(f"/users/invitations/{invitation}/{act}", expect=404)
    assert state_of(owner, "mara@x.example") == "invited"


def test_a_withdrawn_invitation_is_not_mailed_afterwards(admin: Browser, owner: Any) -> None:
    invite(admin, "new@x.example kept@x.example")
    owner.execute("SELECT i.id::text FROM invitations i JOIN users u ON u.id = i.user_id WHERE u.email = 'new@x.example'")
    admin.post("invitations.withdraw", invitation_id=owner.fetchone()[0])
    owner.execute("SELECT recipient, failed_at IS NOT NULL, last_error FROM outbox ORDER BY recipient")
    assert owner.fetchall() == [("kept@x.example", False, None), (None, True, "the invitation was withdrawn")]
