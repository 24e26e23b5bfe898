"""Access codes: made by administrators, used by people who join."""

import re
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.values import code_hash, new_code
from tests.steps import JOINING, join, make_code, said_before


def show(browser: Browser, code: str, *, organization: str = "acme", expect: int = 200) -> Any:
    return browser.post("access_codes.join", {"organization": organization, "code": code}, expect=expect)


def test_codes_are_read_as_people_type_them() -> None:
    code = new_code()
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}", code)
    assert code_hash(code) == code_hash(f" {code.lower().replace('-', ' ')} ")
    assert len({new_code() for _ in range(1000)}) == 1000


def test_a_code_is_shown_once_and_kept_as_a_hash(admin: Browser, owner: Any) -> None:
    code = make_code(admin)
    assert code not in admin.get("access_codes.index").text
    owner.execute("SELECT label, secret_hash, needs_approval FROM access_codes")
    label, kept, approval = owner.fetchone()
    assert (label, bytes(kept), approval) == ("The choir", code_hash(code), False)
    owner.execute("SELECT count(*) FROM audit_entries AS t WHERE t::text LIKE %s", (f"%{code}%",))
    assert owner.fetchone() == (0,)


def test_the_same_form_sent_twice_makes_one_code(admin: Browser, owner: Any) -> None:
    form = {**admin.get("access_codes.index").form("form.form-sheet"), "label": "Volunteers"}
    admin.post("access_codes.index", form, expect=200)
    page = admin.post("access_codes.index", form, expect=409)
    assert "sent before" in page.text
    owner.execute("SELECT count(*) FROM access_codes")
    assert owner.fetchone() == (1,)


def test_withdrawing_a_code_says_first_what_follows(admin: Browser, owner: Any) -> None:
    make_code(admin)
    owner.execute("SELECT id::text FROM access_codes")
    said = said_before(admin.get("access_codes.index"), f"/users/codes/{owner.fetchone()[0]}/withdraw")
    assert said == "Nobody joins by it any more, and it cannot be brought back. Whoever joined by it stays."


def test_whoever_joins_sees_what_the_code_opens_and_is_signed_in(app: Flask, admin: Browser, owner: Any) -> None:
    code = make_code(admin)
    preview = show(Browser(app), code.lower())
    assert "CANARY-acme House" in preview.heading
    assert preview.form()["code"] == code.lower()
    browser, _ = join(app, code, role="org_admin", is_verified="1", tenant_id="x")
    assert "Welcome to CANARY-acme House" in browser.follow().text
    owner.execute("SELECT role, state, is_verified FROM users WHERE email = 'mara@x.example'")
    assert owner.fetchone() == ("user", "active", False)
    owner.execute("SELECT uses FROM access_codes")
    assert owner.fetchone() == (1,)


def test_with_approval_an_administrator_decides(app: Flask, admin: Browser, owner: Any) -> None:
    code = make_code(admin, needs_approval="y")
    assert "accepts you first" in show(Browser(app), code).text
    waiting, _ = join(app, code)
    assert "An administrator decides" in waiting.follow().text
    waiting.get("/", expect=303)
    join(app, code, username="other", email="other@x.example")
    owner.execute("SELECT username, id::text FROM users WHERE state = 'waiting'")
    ids = dict(owner.fetchall())
    waiting_ones = admin.get("users.index", state="waiting")
    assert "Waiting" in waiting_ones.text
    assert not waiting_ones.select(f"form[action='/users/{ids['other']}/refuse']")  # the row leads to the page, which asks first
    assert said_before(admin.get(f"/users/{ids['other']}"), f"/users/{ids['other']}/refuse").startswith("The account is deleted")
    admin.post(f"/users/{ids['mara.ortiz']}/accept")
    admin.post(f"/users/{ids['other']}/refuse")
    admin.post(f"/users/{ids['mara.ortiz']}/refuse", expect=409)
    owner.execute("SELECT username, state FROM users WHERE username IN ('mara.ortiz', 'other')")
    assert owner.fetchall() == [("mara.ortiz", "active")]
    form = waiting.get("auth.sign_in", organization="acme").form()
    waiting.post("auth.sign_in", {**form, "login": "mara.ortiz", "password": PASSWORD})


def test_whoever_is_turned_away_is_forgotten_in_the_outbox_and_not_mailed(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(mailing).sign_in(cast.acme.admin)
    join(mailing, make_code(admin, needs_approval="y"))
    owner.execute("SELECT recipient FROM outbox WHERE failed_at IS NULL")
    assert owner.fetchall() == [("mara@x.example",)]
    owner.execute("SELECT id::text FROM users WHERE state = 'waiting'")
    admin.post(f"/users/{owner.fetchone()[0]}/refuse")
    owner.execute("SELECT recipient, body_text, last_error FROM outbox")
    assert owner.fetchall() == [(None, None, "the newcomer was turned away")]


def test_of_twenty_who_join_by_the_last_use_one_succeeds(app: Flask, admin: Browser, owner: Any) -> None:
    code = make_code(admin, max_uses="1")
    browsers = [Browser(app, f"203.0.113.{number}") for number in range(20)]
    tokens = [browser.token() for browser in browsers]
    statuses: list[int] = []

    def work(number: int) -> None:
        data = {**JOINING, "organization": "acme", "code": code, "username": f"mara{number}", "email": f"m{number}@x.example"}
        answer = browsers[number].client.post(
            "/join", data={**data, "csrf_token": tokens[number]}, environ_overrides={"REMOTE_ADDR": browsers[number].address}
        )
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303] + [422] * 19
    owner.execute("SELECT (SELECT uses FROM access_codes), count(*) FROM users WHERE username LIKE 'mara%'")
    assert owner.fetchone() == (1, 1)


def test_what_does_not_open_gets_one_sentence_for_all_reasons(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    over, withdrawn, used, good = (
        make_code(admin, label="a"),
        make_code(admin, label="b"),
        make_code(admin, label="c", max_uses="1"),
        make_code(admin, label="d"),
    )
    owner.execute("UPDATE access_codes SET expires_at = now() WHERE label = 'a'")
    owner.execute("SELECT id::text FROM access_codes WHERE label = 'b'")
    admin.post(f"/users/codes/{owner.fetchone()[0]}/withdraw")
    join(app, used)
    told = set()
    for code, organization in (
        (over, "acme"),
        (withdrawn, "acme"),
        (used, "acme"),
        ("XXXX", "acme"),
        (good, "globex"),
        (good, "nowhere"),
        (good, "hades"),
    ):
        page = show(Browser(app, "203.0.113.7"), code, organization=organization, expect=422)
        told.add(page.select_one("#faults p").get_text(strip=True))
        owner.execute("DELETE FROM rate_limits")
    assert len(told) == 1
    owner.execute("UPDATE tenants SET is_active = false WHERE id = %s", (str(cast.acme.id),))
    show(Browser(app), good, expect=422)


def test_names_and_addresses_that_are_taken_are_said_and_use_up_nothing(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    code = make_code(admin, max_uses="1")
    _, page = join(app, code, expect=422, username="ADMIN")
    assert page.fault("username")
    _, page = join(app, code, expect=422, email=cast.acme.user.email.upper())
    assert page.fault("email")
    assert page.form()["first_name"] == "Mara"
    join(app, code)


def test_guessing_codes_is_slowed_down(app: Flask) -> None:
    browser = Browser(app)
    for _ in range(10):
        show(browser, "XXXX-XXXX-XXXX", expect=422)
    assert show(browser, "XXXX-XXXX-XXXX", expect=429).response.headers["Retry-After"]


def test_nobody_but_administrators_sees_codes(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    make_code(admin)
    owner.execute("SELECT id::text FROM access_codes")
    (code_id,) = owner.fetchone()
    Browser(app).sign_in(cast.acme.user).get("access_codes.index", expect=403)
    for person in (cast.platform.admin, cast.platform.super):
        Browser(app).sign_in(person).get("access_codes.index", expect=403)
    neighbour = Browser(app).sign_in(cast.globex.admin)
    assert "The choir" not in neighbour.get("access_codes.index").text
    neighbour.post(f"/users/codes/{code_id}/withdraw", expect=404)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"label": ""}, "Enter a name."),
        ({"days": "0"}, "The least that can be chosen is 1."),
        ({"days": "367"}, "The most that can be chosen is 366."),
        ({"max_uses": "0"}, "The least that can be chosen is 1."),
        ({"max_uses": "x"}, "Write this as a whole number."),
        ({"max_uses": "9" * 5000}, "Write this as a smaller number."),
        ({"label": "nul\x00"}, "There is a hidden character (U+0000)"),
    ],
)
def test_a_code_that_cannot_be_is_refused_in_words(admin: Browser, owner: Any, wrong: dict[str, str], sentence: str) -> None:
    assert sentence in make_code(admin, expect=422, **wrong).select_one("#faults").get_text()
    owner.execute("SELECT count(*) FROM access_codes")
    assert owner.fetchone() == (0,)
