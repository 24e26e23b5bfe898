"""Signing in and out: passwords, sessions, throttling, and what a browser's request must bring along."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import bcrypt
import pytest
from flask import Flask

from portal import create_app
from portal.auth import passwords
from portal.auth.services import WRONG
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from tests.statements import counted
from tests.steps import attempt


def test_an_administrator_signs_in_by_email_or_username_in_any_case(app: Flask, cast: SimpleNamespace) -> None:
    for login in (cast.acme.admin.email, cast.acme.admin.email.upper(), "admin", "ADMIN"):
        browser = Browser(app)
        attempt(browser, cast.acme.admin, expect=303, login=login)
        assert "CANARY-acme House" in browser.get("/").text


def test_platform_people_sign_in_under_the_reserved_organization(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.platform.super)
    assert "Super admin" in browser.get("/").text


@pytest.mark.parametrize(
    "change",
    [
        {"password": "a wrong password of length"},
        {"login": "nobody@acme.example"},
        {"organization": "nowhere"},
        {"organization": "globex", "login": "admin@acme.example"},
        {"login": "gone"},
        {"login": "gone_admin"},
        {"organization": "hades", "login": "admin"},
        {"password": ""},
        {"organization": "a\x00b"},
        {"login": "a\x00b"},
        {"organization": "%_"},
    ],
    ids=str,
)
def test_everybody_who_may_not_sign_in_gets_the_same_answer(browser: Browser, cast: SimpleNamespace, change: dict[str, str]) -> None:
    page = attempt(browser, cast.acme.admin, expect=422, **change)
    if not any("\x00" in value for value in change.values()):
        assert WRONG in page.text
    assert page.form("form[action*=sign-in]")["password"] == ""
    browser.get("/", expect=303)


def test_unknown_and_wrong_take_the_same_work(app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[Any] = []
    real = passwords.verified
    monkeypatch.setattr(passwords, "verified", lambda password, stored: verified.append(stored) or real(password, stored))
    for change in ({"login": "nobody"}, {"organization": "nowhere"}, {"password": "wrong wrong wrong"}, {"login": "gone"}):
        attempt(Browser(app), cast.acme.admin, expect=422, **change)
    assert len(verified) == 4


def test_signing_out_ends_the_session_on_the_server(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    stolen = browser.client.get_cookie("__Host-portal")
    browser.post("auth.sign_out")
    thief = Browser(app)
    thief.client.set_cookie("__Host-portal", stolen.value)
    thief.get("/", expect=303)


def test_signing_in_changes_the_session_and_the_csrf_key(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app)
    browser.get("auth.sign_in")
    before = browser.client.get_cookie("__Host-portal").value
    with browser.client.session_transaction() as session:
        old_key = session["csrf_token"]
    browser.sign_in(cast.acme.admin)
    with browser.client.session_transaction() as session:
        assert session.get("csrf_token") != old_key
    assert browser.client.get_cookie("__Host-portal").value != before


def test_cookies_are_secure_and_out_of_scripts_reach(browser: Browser, cast: SimpleNamespace) -> None:
    browser.sign_in(cast.acme.admin)
    cookies = browser.page.response.headers.getlist("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-portal", "__Host-known"}
    for cookie in cookies:
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


ENDINGS = {
    "deactivated": "UPDATE users SET is_active = false WHERE id = %(user)s",
    "signed out everywhere": "UPDATE users SET auth_epoch = auth_epoch + 1 WHERE id = %(user)s",
    "organization suspended": "UPDATE tenants SET is_active = false WHERE id = %(tenant)s",
    "session deleted": "DELETE FROM sessions WHERE user_id = %(user)s",
    "idle for an hour": "UPDATE sessions SET seen_at = now() - interval '61 minutes' WHERE user_id = %(user)s",
    "twelve hours over": "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE user_id = %(user)s",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_session_is_dead_at_the_next_request(app: Flask, cast: SimpleNamespace, owner: Any, ending: str) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    browser.get("/")
    owner.execute(ENDINGS[ending], {"user": str(cast.acme.admin.id), "tenant": str(cast.acme.id)})
    page = browser.get("/", expect=303)
    assert page.location.startswith("/sign-in")


def test_a_platform_session_idles_for_a_quarter_of_an_hour_only(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.platform.admin)
    owner.execute("UPDATE sessions SET seen_at = now() - interval '16 minutes'")
    browser.get("/", expect=303)


def test_a_demotion_shows_at_the_next_request(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    assert "Sessions open now" in browser.get("/").text
    owner.execute("UPDATE users SET role = 'user' WHERE id = %s", (str(cast.acme.admin.id),))
    assert "Sessions open now" not in browser.get("/").text


def test_a_credential_opens_nothing_in_another_tenant(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    with browser.client.session_transaction() as session:
        secret = session["_user_id"].partition(".")[2]
        session["_user_id"] = f"{cast.globex.id.hex}.{secret}"
    browser.get("/", expect=303)


@pytest.mark.parametrize("credential", ["", ".", "x.y", "0" * 32 + ".", "\x00", "é.é"])
def test_a_malformed_credential_is_nobodys(app: Flask, cast: SimpleNamespace, credential: str) -> None:
    browser = Browser(app)
    with browser.client.session_transaction() as session:
        session["_user_id"] = credential
    browser.get("/", expect=303)


def test_the_session_secret_is_stored_as_a_digest_only(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    with browser.client.session_transaction() as session:
        secret = session["_user_id"].partition(".")[2]
    owner.execute("SELECT s::text FROM sessions s")
    assert secret not in owner.fetchone()[0]


def test_a_legacy_bcrypt_hash_verifies_and_becomes_argon2id(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    long = PASSWORD * 3  # the legacy system cut it at 72 bytes
    legacy = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    owner.execute("UPDATE users SET hashed_password = %s WHERE id = %s", (legacy, str(cast.acme.user.id)))
    attempt(Browser(app), cast.acme.user, expect=303, password=long)
    owner.execute("SELECT hashed_password, version FROM users WHERE id = %s", (str(cast.acme.user.id),))
    stored, version = owner.fetchone()
    assert stored.startswith("$argon2id$")
    assert version == 1, "a rehash is no edit"
    attempt(Browser(app), cast.acme.user, expect=303, password=long)
    attempt(Browser(app), cast.acme.user, expect=422, password=long[:72])


NEXT = [
    ("/", "/"),
    ("/?from=mail", "/?from=mail"),
    ("//evil.example", "/"),
    ("https://evil.example/", "/"),
    ("/\\evil.example", "/"),
    ("/\t/evil.example", "/"),
    ("/sign-out", "/"),
    ("/nowhere", "/"),
    ("javascript:alert(1)", "/"),
    ("\r\nX: y", "/"),
]


@pytest.mark.parametrize(("wanted", "reached"), NEXT)
def test_next_leads_only_to_pages_of_our_own(browser: Browser, cast: SimpleNamespace, wanted: str, reached: str) -> None:
    page = attempt(browser, cast.acme.admin, expect=303, next=wanted)
    assert page.location == reached


def test_guesses_are_slowed_down_and_the_answer_says_until_when(app: Flask, cast: SimpleNamespace) -> None:
    stranger = Browser(app, "203.0.113.7")
    for _ in range(10):
        attempt(stranger, cast.acme.admin, expect=422, password="a wrong guess at it")
    page = attempt(stranger, cast.acme.admin, expect=429)
    assert int(page.response.headers["Retry-After"]) > 0
    assert "Try again in" in page.text
    attempt(stranger, SimpleNamespace(subdomain="acme", email="nobody", password="x"), expect=422)


def test_the_owners_browser_still_opens_while_strangers_guess(app: Flask, cast: SimpleNamespace) -> None:
    own = Browser(app, "198.51.100.1").sign_in(cast.acme.admin)
    own.post("auth.sign_out")
    for number in range(60):
        attempt(Browser(app, f"203.0.113.{number}"), cast.acme.admin, expect=422, password="a wrong guess at it")
    attempt(Browser(app, "203.0.113.200"), cast.acme.admin, expect=429)
    attempt(own, cast.acme.admin, expect=303)


def test_made_up_forwarding_headers_do_not_get_round_the_throttle(app: Flask, cast: SimpleNamespace) -> None:
    stranger = Browser(app, "203.0.113.7")
    for number in range(10):
        attempt(stranger, cast.acme.admin, expect=422, password="a wrong guess at it", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    attempt(stranger, cast.acme.admin, expect=429, headers={"X-Forwarded-For": "192.0.2.99"})


def test_signing_in_properly_is_not_counted_as_guessing(app: Flask, cast: SimpleNamespace) -> None:
    for _ in range(15):
        Browser(app).sign_in(cast.acme.admin)


def test_hashing_waits_for_a_slot_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(passwords, "slots_folder", tmp_path)
    monkeypatch.setattr(passwords, "slots", 1)
    inside, most = [0], [0]

    def hold() -> None:
        with passwords._slot():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_an_unsafe_request_without_token_or_from_another_site_is_refused(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    browser.post("auth.sign_out", token=False, expect=400)
    stranger_token = Browser(app).token()
    browser.post("auth.sign_out", {"csrf_token": stranger_token}, expect=400)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}):
        browser.post("auth.sign_out", headers=headers, expect=403)
    browser.get("/")
    browser.post("auth.sign_out", headers={"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"})
    browser.get("/", expect=303)


def test_a_form_from_plain_http_elsewhere_is_told_why_in_words(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path, public_url="https://portal.example.org", trusted_hosts="portal.lan"))
    response = app.test_client().post("/sign-in", headers={"Host": "portal.lan"})
    assert response.status_code == 400
    assert "Open https://portal.example.org instead" in response.get_data(as_text=True)


def test_plain_http_that_was_asked_for_says_so_on_every_page(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path, public_url="http://portal.lan", allow_http=True))
    page = Browser(app).get("/sign-in", headers={"Host": "portal.lan"})
    assert "everybody on the way can read along" in page.text
    assert "Secure" not in page.response.headers["Set-Cookie"]
    assert page.response.headers["Set-Cookie"].startswith("portal=")


def test_a_host_name_of_an_organization_preselects_it(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    settings = cluster.settings(database, tmp_path, public_url="https://portal.example.org", serve_subdomains=True)
    browser = Browser(create_app(settings))
    page = browser.get("/sign-in", headers={"Host": "acme.portal.example.org"})
    assert page.form("form[action*=sign-in]")["organization"] == "acme"
    browser.get("/sign-in", headers={"Host": "acme.evil.example"}, expect=400)


def test_htmx_is_led_to_the_sign_in_page_and_not_given_one_inside_a_row(browser: Browser) -> None:
    page = browser.get("/", htmx=True, expect=401)
    assert page.location.startswith("/sign-in")
    assert not page.text


def test_the_sign_in_page_knows_the_organization_of_its_address(browser: Browser) -> None:
    page = browser.get("auth.sign_in", organization="acme")
    assert page.form("form[action*=sign-in]")["organization"] == "acme"


def test_a_sign_in_is_written_into_the_audit_log_and_never_with_the_password(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    Browser(app).sign_in(cast.acme.admin)
    owner.execute("SELECT action, actor_id::text, e::text FROM audit_entries e")
    action, actor, row = owner.fetchone()
    assert (action, actor) == ("signed_in", str(cast.acme.admin.id))
    assert PASSWORD not in row


def test_known_and_unknown_accounts_take_the_same_statements(app: Flask, cast: SimpleNamespace) -> None:
    counts = {}
    for name, change in (
        ("known", {"password": "wrong wrong wrong"}),
        ("unknown", {"login": "nobody"}),
        ("nowhere", {"organization": "nowhere"}),
    ):
        browser = Browser(app)
        with counted(app) as seen:
            attempt(browser, cast.acme.admin, expect=422, **change)
        counts[name] = len(seen)
    assert len(set(counts.values())) == 1, counts
    assert min(counts.values()) > 0
