"""The own account: its sessions and its password."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from tests.statements import counted
from tests.test_auth import attempt

FRESH = "seven herons over the marsh at dawn"


def session_ids(owner: Any, person: Any) -> list[str]:
    owner.execute("SELECT id::text FROM sessions WHERE user_id = %s ORDER BY created_at", (str(person.id),))
    return [row[0] for row in owner.fetchall()]


def change(browser: Browser, *, expect: int = 303, old: str = PASSWORD, new: str = FRESH) -> Any:
    page = browser.get("account.password")
    return browser.post("account.password", {**page.form("main form"), "old_password": old, "new_password": new}, expect=expect)


def test_a_person_sees_where_the_account_is_signed_in(app: Flask, cast: SimpleNamespace) -> None:
    Browser(app, "203.0.113.9").sign_in(cast.acme.user)
    Browser(app).sign_in(cast.acme.user2)
    page = Browser(app).sign_in(cast.acme.user).get("account.sessions")
    rows = page.select("#sessions tbody tr")
    assert len(rows) == 2
    assert "203.0.113.9" in page.text
    assert sum("this session" in row.get_text() for row in rows) == 1


def test_a_session_that_idled_too_long_is_not_called_open(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    Browser(app).sign_in(cast.acme.user)
    owner.execute("UPDATE sessions SET seen_at = now() - interval '2 hours'")
    page = Browser(app).sign_in(cast.acme.user).get("account.sessions")
    assert len(page.select("#sessions tbody tr")) == 1


def test_one_session_is_ended_at_once(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    lost, here = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.acme.user)
    first, _ = session_ids(owner, cast.acme.user)
    page = here.post(f"/account/sessions/{first}/end", expect=200, htmx=True)
    assert len(page.select("tbody tr")) == 1
    assert "ended" in page.text
    lost.get("/", expect=303)
    here.get("/")


def test_all_others_are_ended_and_this_one_stays(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    others = [Browser(app).sign_in(cast.acme.user) for _ in range(3)]
    neighbour = Browser(app).sign_in(cast.acme.user2)
    here = Browser(app).sign_in(cast.acme.user)
    here.post("account.end_other_sessions")
    assert "3 other sessions were ended." in here.follow().text
    for other in others:
        other.get("/", expect=303)
    neighbour.get("/")
    owner.execute("SELECT action FROM audit_entries ORDER BY seq DESC LIMIT 1")
    assert owner.fetchone() == ("sessions_ended",)


def test_nobody_ends_the_session_of_somebody_else(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    victims = [cast.acme.user, cast.acme.admin2, cast.globex.user]
    browsers = [Browser(app).sign_in(person) for person in victims]
    here = Browser(app).sign_in(cast.acme.admin)
    for person in victims:
        here.post(f"/account/sessions/{session_ids(owner, person)[0]}/end", expect=404)
    here.post(f"/account/sessions/{uuid4()}/end", expect=404)
    for browser in browsers:
        browser.get("/")


def test_ending_this_session_is_signing_out(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    here.post(f"/account/sessions/{session_ids(owner, cast.acme.user)[0]}/end")
    assert here.page.location.startswith("/sign-in")
    here.get("/", expect=303)


def test_a_new_password_ends_every_other_session_and_keeps_this_person_signed_in(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    other, here = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.acme.user)
    stolen = here.client.get_cookie("__Host-portal").value
    change(here)
    assert "Your password is changed" in here.follow().text
    other.get("/", expect=303)
    thief = Browser(app)
    thief.client.set_cookie("__Host-portal", stolen)
    thief.get("/", expect=303)
    attempt(Browser(app), cast.acme.user, expect=422)
    attempt(Browser(app), cast.acme.user, expect=303, password=FRESH)
    owner.execute("SELECT action, changes FROM audit_entries WHERE action = 'password_changed'")
    assert owner.fetchall() == [("password_changed", {})]


@pytest.mark.parametrize(
    ("old", "new", "beside"),
    [
        ("wrong wrong wrong", FRESH, "old_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "CANARY-acme House 1", "new_password"),
        ("", FRESH, "old_password"),
    ],
)
def test_what_is_refused_changes_nothing(app: Flask, cast: SimpleNamespace, old: str, new: str, beside: str) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    page = change(here, expect=422, old=old, new=new)
    assert page.fault(beside)
    assert {value for name, value in page.form("main form").items() if name.endswith("password")} == {""}
    attempt(Browser(app), cast.acme.user, expect=303)


def test_guessing_the_old_password_is_slowed_down(app: Flask, cast: SimpleNamespace) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    for _ in range(10):
        change(here, expect=422, old="a wrong guess at it")
    assert change(here, expect=429).response.headers["Retry-After"]


def test_the_pages_keep_to_their_number_of_statements(app: Flask, cast: SimpleNamespace) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    for path in ("/account/sessions", "/account/password"):
        with counted(app) as seen:
            here.get(path)
        assert len(seen) <= 4, seen


def test_a_password_that_was_changed_elsewhere_meanwhile_is_said(
    app: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.auth import passwords

    here, real = Browser(app).sign_in(cast.acme.user), passwords.hashed

    def overtaken(password: str) -> str:
        owner.execute("UPDATE users SET hashed_password = '!' WHERE id = %s", (str(cast.acme.user.id),))
        return real(password)

    monkeypatch.setattr(passwords, "hashed", overtaken)
    assert "changed elsewhere" in change(here, expect=422).text
