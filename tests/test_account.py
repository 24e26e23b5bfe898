"""The own account: its sessions and its password."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from tests.statements import counted
from tests.steps import attempt, grow_stale, stored_user

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
    assert "signed out" in page.text
    lost.get("/", expect=303)
    here.get("/")


def test_all_others_are_ended_and_this_one_stays(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    others = [Browser(app).sign_in(cast.acme.user) for _ in range(3)]
    neighbour = Browser(app).sign_in(cast.acme.user2)
    here = Browser(app).sign_in(cast.acme.user)
    here.post("account.end_other_sessions")
    assert "3 other sessions were signed out." in here.follow().text
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
    for path in ("/account", "/account/sessions", "/account/password"):
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


# Who one is


def profile(browser: Browser, *, expect: int = 303, page: Any = None, **changes: str) -> Any:
    form = (page or browser.get("account.index")).form("form[action='/account/profile']")
    return browser.post("account.profile", {**form, **changes}, expect=expect)


def test_a_person_changes_names_and_username_and_signs_in_with_it(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    profile(here, first_name="Mara", last_name="Ó Briain", username="Mara.Briain")
    assert "Mara Ó Briain" in here.follow().text
    row = stored_user(owner, cast.acme.user)
    assert (row["first_name"], row["last_name"], row["username"]) == ("Mara", "Ó Briain", "Mara.Briain")
    assert (row["username_key"], row["sort_key"], row["version"]) == ("mara.briain", "o briain mara", 2)
    assert (row["role"], row["email"], row["auth_epoch"]) == ("user", cast.acme.user.email, 0)
    owner.execute("SELECT changes->'username' FROM audit_entries WHERE action = 'profile_changed'")
    assert owner.fetchall() == [(["user", "Mara.Briain"],)]
    again = Browser(app)
    form = again.get("auth.sign_in", organization="acme").form()
    again.post("auth.sign_in", {**form, "login": "MARA.briain", "password": PASSWORD})


def test_names_can_be_cleared_and_the_username_then_names_the_person(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    profile(here, first_name="", last_name=" ")
    row = stored_user(owner, cast.acme.user)
    assert (row["first_name"], row["last_name"], row["sort_key"]) == (None, None, "user")
    assert profile(here, expect=422, username="").fault("username")


@pytest.mark.parametrize("taken", ["admin", "ADMIN", "user2"])
def test_a_username_of_a_colleague_is_refused_and_a_neighbours_is_not(app: Flask, cast: SimpleNamespace, owner: Any, taken: str) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    page = profile(here, expect=422, username=taken, first_name="Kept")
    assert "taken" in page.fault("username")
    assert page.form("form[action='/account/profile']")["first_name"] == "Kept"
    assert stored_user(owner, cast.acme.user)["username"] == "user"
    owner.execute("UPDATE users SET username = 'only.theirs', username_key = 'only.theirs' WHERE id = %s", (str(cast.globex.user.id),))
    profile(here, username="only.theirs")


def test_a_legacy_username_that_todays_rules_refuse_may_stay(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE users SET username = 'x y@z' WHERE id = %s", (str(cast.acme.user.id),))
    here = Browser(app).sign_in(cast.acme.user)
    profile(here, first_name="Mara")
    assert stored_user(owner, cast.acme.user)["username"] == "x y@z"
    assert profile(here, expect=422, username="x y@zz").fault("username")


def test_an_account_that_changed_meanwhile_shows_both_versions(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    one, other = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.acme.user)
    page = other.get("account.index")
    profile(one, first_name="Mara", last_name="Ortiz")
    conflict = profile(other, page=page, expect=409, first_name="Inês")
    rows = {row.select_one("th").get_text(strip=True): row.get_text(" ", strip=True) for row in conflict.select("#conflict tbody tr")}
    assert rows["First name"] == "First name Mara Inês"
    assert rows["Last name"] == "Last name Ortiz"
    other.post("account.profile", conflict.form("form[action='/account/profile']"))
    row = stored_user(owner, cast.acme.user)
    assert (row["first_name"], row["last_name"]) == ("Inês", "Ortiz")


def test_a_new_role_meanwhile_is_no_conflict_for_the_names(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    page = here.get("account.index")
    owner.execute("UPDATE users SET role = 'org_admin', version = version + 1 WHERE id = %s", (str(cast.acme.user.id),))
    profile(here, page=page, first_name="Mara")
    row = stored_user(owner, cast.acme.user)
    assert (row["first_name"], row["role"], row["version"]) == ("Mara", "org_admin", 3)


def test_what_the_forms_do_not_offer_cannot_be_posted(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    smuggled = {
        "role": "super_admin", "is_verified": "1", "is_active": "", "tenant_id": str(cast.globex.id), "id": str(cast.acme.admin.id),
        "email": "mine@elsewhere.example", "hashed_password": "!", "auth_epoch": "9", "pending_email": "x@example.org",
    }  # fmt: skip
    before = stored_user(owner, cast.acme.user)
    profile(here, first_name="Mara", **smuggled)
    here.post("account.preferences", {"theme": "dark", "density": "compact", "time_zone": "", **smuggled})
    after = stored_user(owner, cast.acme.user)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"first_name", "sort_key", "search_text", "version", "updated_at", "theme", "density"}


# E-mail, and the password that confirms it


def ask(browser: Browser, email: str, *, expect: int = 303, **more: str) -> Any:
    return browser.post("account.email", {"email": email, **more}, expect=expect)


def test_another_email_waits_and_the_old_one_stays_for_signing_in(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    ask(here, "mara@elsewhere.example")
    page = here.follow()
    assert "mara@elsewhere.example is not confirmed yet" in page.text
    assert "this portal sends no mail: no mail server is configured" in page.text
    row = stored_user(owner, cast.acme.user)
    assert (row["email"], row["pending_email"], row["version"]) == (cast.acme.user.email, "mara@elsewhere.example", 1)
    Browser(app).sign_in(cast.acme.user)
    owner.execute("SELECT changes FROM audit_entries WHERE action = 'email_change_asked'")
    assert owner.fetchall() == [({"e-mail": [cast.acme.user.email, "mara@elsewhere.example"]},)]
    here.post("account.keep_email")
    assert stored_user(owner, cast.acme.user)["pending_email"] is None
    here.post("account.keep_email")
    owner.execute("SELECT count(*) FROM audit_entries WHERE action = 'email_change_dropped'")
    assert owner.fetchone() == (1,)


def test_an_old_sign_in_asks_for_the_password_and_loses_nothing(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    assert not here.get("account.index").soup.select("[name=password]")
    grow_stale(owner)
    assert here.get("account.index").select("[name=password]")
    page = ask(here, "mara@elsewhere.example", expect=422)
    assert "once more" in page.fault("password")
    assert page.select_one("[name=email]")["value"] == "mara@elsewhere.example"
    page = ask(here, "mara@elsewhere.example", expect=422, password="not my password at all")
    assert "not your password" in page.fault("password")
    assert not page.select_one("[name=password]").get("value")
    assert stored_user(owner, cast.acme.user)["pending_email"] is None
    ask(here, "mara@elsewhere.example", password=PASSWORD)
    assert stored_user(owner, cast.acme.user)["pending_email"] == "mara@elsewhere.example"


def test_a_right_password_is_remembered_although_the_rest_was_refused(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    grow_stale(owner)
    page = ask(here, cast.acme.admin.email.upper(), expect=422, password=PASSWORD)
    assert "Another account" in page.fault("email")
    assert not here.get("account.index").soup.select("[name=password]")
    ask(here, "mara@elsewhere.example")


def test_the_password_confirms_one_session_only(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here, elsewhere = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.acme.user)
    grow_stale(owner)
    ask(here, "mara@elsewhere.example", password=PASSWORD)
    ask(elsewhere, "other@elsewhere.example", expect=422)


def test_guessing_at_the_confirmation_is_slowed_down(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    grow_stale(owner)
    for _ in range(10):
        ask(here, "mara@elsewhere.example", expect=422, password="a wrong guess at it")
    assert ask(here, "mara@elsewhere.example", expect=429, password=PASSWORD).response.headers["Retry-After"]


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c.example", "nul\x00@example.org", "user@acme.example"])
def test_an_address_that_cannot_be_is_refused(app: Flask, cast: SimpleNamespace, owner: Any, email: str) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    assert ask(here, email, expect=422).fault("email")
    assert stored_user(owner, cast.acme.user)["pending_email"] is None


def test_a_neighbours_address_is_free(app: Flask, cast: SimpleNamespace) -> None:
    ask(Browser(app).sign_in(cast.acme.user), cast.globex.user.email)


# How one reads


def test_theme_zone_and_density_go_with_the_account_to_every_device(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    here.post("account.preferences", {"theme": "dark", "density": "compact", "time_zone": "Asia/Tokyo"})
    owner.execute("UPDATE sessions SET created_at = '2026-01-31 16:30:00+00'")
    elsewhere = Browser(app).sign_in(cast.acme.user)
    page = elsewhere.get("account.sessions")
    assert (page.select_one("html")["data-bs-theme"], page.select_one("html")["data-density"]) == ("dark", "compact")
    assert "1 Feb 2026, 01:30 JST" in page.text
    assert not page.soup.select("time.when")
    form = elsewhere.get("account.index").form("form[action='/account/preferences']")
    assert (form["theme"], form["density"], form["time_zone"]) == ("dark", "compact", "Asia/Tokyo")
    neighbour = Browser(app).sign_in(cast.acme.user2).get("account.sessions")
    assert neighbour.select_one("html")["data-density"] == "comfortable"
    assert neighbour.soup.select("time.when")


def test_without_a_zone_times_are_those_of_the_device(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    here.post("account.preferences", {"theme": "system", "density": "comfortable", "time_zone": ""})
    assert stored_user(owner, cast.acme.user)["time_zone"] is None
    assert here.get("account.sessions").select("time.when")


def test_the_switch_in_the_menu_is_kept_on_the_account(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    here.post("appearance.choose", {"theme": "dark"}, expect=204, htmx=True)
    assert stored_user(owner, cast.acme.user)["theme"] == "dark"
    assert Browser(app).sign_in(cast.acme.user).get("/").select_one("html")["data-bs-theme"] == "dark"


@pytest.mark.parametrize("wrong", [{"theme": "neon"}, {"density": ""}, {"time_zone": "Mars/Olympus"}, {"time_zone": "../../etc/passwd"}])
def test_a_preference_that_does_not_exist_is_refused(app: Flask, cast: SimpleNamespace, owner: Any, wrong: dict[str, str]) -> None:
    here = Browser(app).sign_in(cast.acme.user)
    page = here.post("account.preferences", {"theme": "dark", "density": "compact", "time_zone": "", **wrong}, expect=422)
    assert page.select("#faults")
    assert stored_user(owner, cast.acme.user)["theme"] is None
