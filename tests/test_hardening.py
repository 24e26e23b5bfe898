"""What a hostile visitor, neighbour or insider tried once, and what became of it."""

import logging
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

import psycopg2
import pytest
from flask import Flask
from hypothesis import assume, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from sqlalchemy import text
from werkzeug.formparser import FormDataParser

from portal import assets
from portal.auth import passwords
from portal.config import load_settings
from portal.database import connect
from portal.errors import Unavailable
from portal.framework import MOST_FIELDS, FormParser
from portal.invitations import services as invitations
from portal.mail_links import services as mail_links
from portal.processes import environment
from portal.testing.browser import Browser
from tests.steps import WHO, attempt, invite, link_in, make_code, register, registration

WRONG = "a wrong guess at it"


def test_spellings_that_find_one_account_are_counted_as_one(app: Flask, cast: SimpleNamespace) -> None:
    stranger = Browser(app, "203.0.113.7")
    for login in ("ａdmin", "aｄmin", "ADMIN", "admiｎ", "adｍin", "ａｄmin", "Admin", "adMIN", "ａＤｍin", "aDmin"):
        attempt(stranger, cast.acme.admin, expect=422, login=login, password=WRONG)
    attempt(stranger, cast.acme.admin, expect=429, login="ａｄｍｉｎ", password=WRONG)


def test_a_known_browser_has_one_count_however_often_its_cookie_is_written(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    base = browser.client.get_cookie("__Host-known").value
    tried = 0
    for own in (cast.globex.admin, cast.globex.user, cast.acme.user):
        browser.client.set_cookie("__Host-known", base)
        browser.sign_in(own)
        for _ in range(5):
            page = browser.get("auth.sign_in")
            data = {**page.form("form[action*=sign-in]"), "organization": "acme", "login": cast.acme.admin.email, "password": WRONG}
            response = browser.client.post("/sign-in", data=data)
            tried += response.status_code == 422
    assert tried <= 10


@tried(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"%",
                b"%2",
                b"%22",
                b"%2C",
                b"%2c",
                b"%3A",
                b"%0D",
                b"%0D%0A",
                b"%0A",
                b"%25",
                b"%2522",
                b"%252C",
                b"%%0D%0A",
                b"%26",
                b"2",
                b"C",
                b"%0d",
                b"%3D",
                b"%C3%A9",
                b"%C3",
                b"\xc3\xa9",
                b"=",
                b"==",
                b"&",
                b"+",
                b"_",
                b" ",
                b"\n",
                b"\r",
                b"a",
            ]
        )
    )
)
def test_a_form_is_understood_as_werkzeug_understands_it(sent: list[bytes]) -> None:
    body = b"".join(sent)
    assume(is_utf8(unquote_to_bytes(body)))
    ours, its = (
        parser().parse(BytesIO(body), "application/x-www-form-urlencoded", len(body))[1] for parser in (FormParser, FormDataParser)
    )
    assert list(ours.items(multi=True)) == list(its.items(multi=True))


def is_utf8(encoded: bytes) -> bool:
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"%ff", b"%C3", b"%ED%A0%80", b"\xff", b"%ff\n"])
def test_what_is_no_utf_8_in_a_form_is_not_taken_sign_by_sign(sent: bytes) -> None:
    body = b"a=" + sent * 3
    [(name, value)] = FormParser().parse(BytesIO(body), "application/x-www-form-urlencoded", len(body))[1].items()
    assert name == "a"
    assert set(value) <= {"\ufffd", "\n"}


@pytest.mark.parametrize("path", ["/sign-in", "/users/import"])
def test_a_form_of_thousands_of_fields_is_refused_before_it_is_taken_apart(admin: Browser, path: str) -> None:
    for fields, status in ((MOST_FIELDS + 1, 413), (MOST_FIELDS, 400)):  # 400: none of them is the form's token
        response = admin.client.post(path, data=b"&".join([b"a"] * fields), content_type="application/x-www-form-urlencoded")
        assert response.status_code == status


JSON = ["[1,2]", "5", '"x"', "null", "1e999", "[" * 2000, '{"login": "\\ud800", "organization": 5, "password": []}', '{"name": {"a": 1}}']


@pytest.mark.parametrize("body", JSON, ids=[body[:12] for body in JSON])
def test_forms_take_no_json(browser: Browser, body: str) -> None:
    token = browser.token()
    for path in ("/sign-in", "/register", "/register/address", "/register/password-strength", "/appearance"):
        response = browser.client.post(path, data=body, content_type="application/json", headers={"X-CSRFToken": token})
        assert response.status_code < 500, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://["}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Host": "evil.example"}, 400),
        ({"Sec-Fetch-Site": ""}, 403),
    ],
    ids=str,
)
def test_odd_headers_are_refused_and_no_fault(browser: Browser, headers: dict[str, str], status: int) -> None:
    response = browser.client.post("/sign-in", headers=headers)
    assert response.status_code in (status, 403), response.status_code
    assert response.status_code < 500


def test_a_body_without_a_length_is_refused_and_not_cut(app: Flask, cast: SimpleNamespace) -> None:
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    client = app.test_client()
    response = client.post("/register", input_stream=open(os.devnull, "rb"), environ_overrides=environ)  # noqa: SIM115
    assert response.status_code == 411


def test_a_path_cannot_write_a_line_of_its_own_into_the_log(
    browser: Browser, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from portal import headers

    monkeypatch.setattr(headers, "SAFE", None)
    with caplog.at_level(logging.ERROR):
        browser.client.get("/x%0aCRITICAL:forged")
    assert caplog.records
    assert "\nCRITICAL" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize("door", ["/join/{}", "/reset/{}", "/account/confirm/{}"])
def test_a_fault_writes_no_link_and_no_parameter_into_the_log(
    app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, door: str
) -> None:
    broken = text("SELECT 1 / 0 WHERE :tenant IS NOT NULL AND :hash IS NOT NULL AND 'a typed address' = :typed")
    for module in (invitations, mail_links):
        monkeypatch.setattr(module, "OPEN", broken.bindparams(typed="mara@x.example"))
    with caplog.at_level(logging.DEBUG):
        assert Browser(app).client.get(door.format(f"{cast.acme.id.hex}.the-secret")).status_code == 500
    assert "division by zero" in caplog.text
    assert door.format("…") in caplog.text
    assert "the-secret" not in caplog.text
    assert "mara@x.example" not in caplog.text


@pytest.mark.parametrize("link", ["an invitation", "a new password", "one that is dead"])
def test_the_address_of_a_link_goes_nowhere_with_what_its_page_loads(app: Flask, cast: SimpleNamespace, link: str) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    made = {
        "an invitation": lambda: link_in(invite(admin, "mara@x.example")),
        "a new password": lambda: link_in(admin.post("forgotten.make_link", user_id=cast.acme.user.id, expect=200)),
        "one that is dead": lambda: f"/reset/{cast.acme.id.hex}.x",
    }
    answer = Browser(app).client.get(made[link]())
    assert answer.headers["Referrer-Policy"] == "strict-origin"
    assert answer.status_code == (404 if link == "one that is dead" else 200)
    if answer.status_code == 200:
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_form_sent_again_opens_no_suspended_organization_and_not_for_ever(browser: Browser, app: Flask, owner: Any) -> None:
    page = browser.get("organizations.register")
    data = {**page.form("main form[action='/register']"), **registration()}
    browser.post("organizations.register", data)
    again = Browser(app)
    again.post("organizations.register", {**data, "csrf_token": again.token()})
    owner.execute("SELECT action FROM audit_entries ORDER BY seq")
    assert owner.fetchall() == [("organization_registered",), ("signed_in",)], "every session opened stands in the log"
    for statement in (
        "UPDATE idempotency_keys SET expires_at = now() - interval '1 second'",
        "UPDATE idempotency_keys SET expires_at = now() + interval '1 hour'; UPDATE tenants SET is_active = false WHERE subdomain <> 'platform'",
    ):
        owner.execute(statement)
        late = Browser(app)
        late.post("organizations.register", {**data, "csrf_token": late.token()}, expect=422)


def test_an_empty_nonce_repeats_nothing(browser: Browser, app: Flask) -> None:
    register(browser, {**registration(), "nonce": ""})
    register(Browser(app), {**registration(), "nonce": ""}, expect=422)


def test_signing_in_again_ends_the_session_before(app: Flask, cast: SimpleNamespace) -> None:
    for other in (cast.globex.admin, cast.acme.user):
        browser = Browser(app).sign_in(cast.acme.admin)
        former = browser.client.get_cookie("__Host-portal").value
        browser.sign_in(other)
        thief = Browser(app)
        thief.client.set_cookie("__Host-portal", former)
        thief.get("/", expect=303)
        browser.get("/")


@pytest.mark.parametrize("way", ["an invitation", "a code", "registering"])
def test_whoever_enters_by_another_door_leaves_no_session_of_somebody_else_behind(app: Flask, cast: SimpleNamespace, way: str) -> None:
    admin, browser = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.globex.user)
    former, key = browser.client.get_cookie("__Host-portal").value, browser.token()
    if way == "an invitation":
        link = link_in(invite(admin, "mara@x.example"))
        browser.post(link, {**browser.get(link).form(), **WHO})
    elif way == "a code":
        browser.post("access_codes.join", {"organization": "acme", "code": make_code(admin), **WHO, "email": "mara@x.example"})
    else:
        register(browser, registration())
    thief = Browser(app)
    thief.client.set_cookie("__Host-portal", former)
    thief.get("account.index", expect=303)
    browser.get("account.index")
    browser.post("auth.sign_out", {"csrf_token": key}, expect=400)


def test_the_counters_name_nobody(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app, "203.0.113.77")
    browser.get("organizations.check_subdomain", subdomain="quiet", htmx=True)
    attempt(browser, cast.acme.admin, expect=422, password=WRONG)
    owner.execute("SELECT string_agg(key, ' ') FROM rate_limits")
    keys = owner.fetchone()[0]
    assert keys
    assert "203.0.113" not in keys
    assert "admin" not in keys


def test_next_may_hold_letters_of_any_language(browser: Browser, cast: SimpleNamespace) -> None:
    page = browser.get("auth.sign_in")
    data = {
        **page.form("form[action*=sign-in]"),
        "organization": "acme",
        "login": "admin",
        "password": cast.acme.admin.password,
        "next": "/?x=日本",
    }
    answer = browser.open("POST", "auth.sign_in", expect=200, data=data, htmx=True)
    assert answer.location.encode("latin-1") == b"/?x=%E6%97%A5%E6%9C%AC"


def as_app(cluster: Any, database: str, tenant: Any, user: Any, role: str) -> Any:
    connection = connect(cluster.urls(database)["app"])
    cursor = connection.cursor()
    cursor.execute("SET LOCAL app.tenant_id = %s; SET LOCAL app.user_id = %s; SET LOCAL app.role = %s", (str(tenant), str(user), role))
    return cursor


def test_a_rank_that_a_session_claims_is_not_believed(cluster: Any, database: str, cast: SimpleNamespace) -> None:
    for person in (cast.acme.user, cast.acme.admin, cast.platform.admin):
        cursor = as_app(cluster, database, person.tenant_id, person.id, "super_admin")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("UPDATE users SET role = 'super_admin' WHERE id = %s", (str(person.id),))
        cursor.connection.close()


@pytest.mark.parametrize(
    "change",
    [{"seq": 2**62}, {"seq": 5}, {"at": datetime(2001, 1, 1, tzinfo=UTC)}, {"at": datetime.now(UTC) + timedelta(days=1)}, {"hash": b"\0"}],
    ids=lambda change: next(iter(change)),
)
def test_an_audit_entry_follows_the_last_one_now_and_whole(
    cluster: Any, database: str, cast: SimpleNamespace, change: dict[str, Any]
) -> None:
    entry = {"tenant": str(cast.acme.id), "seq": 1, "at": datetime.now(UTC), "hash": b"h" * 32}
    insert = "INSERT INTO audit_entries (tenant_id, seq, at, action, hash) VALUES (%(tenant)s, %(seq)s, %(at)s, 'tried', %(hash)s)"
    cursor = as_app(cluster, database, cast.acme.id, cast.acme.admin.id, "org_admin")
    cursor.execute("SAVEPOINT good")
    cursor.execute(insert, entry)
    cursor.execute("ROLLBACK TO good")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(insert, entry | change)
    cursor.connection.close()


def test_children_do_not_get_the_owners_address_even_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    lines = {f"{name}DATABASE_URL": "postgresql://x@h/d" for name in ("", "PLATFORM_", "WORKER_")}
    lines |= {"OWNER_DATABASE_URL": "postgresql://portal_owner:secret@h/d", "SECRET_KEY": "k" * 40}
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    settings = load_settings(env_file=file)
    assert "secret" in settings.owner_database_url
    for name, value in environment(settings, tmp_path, embedded=False).items():
        monkeypatch.setenv(name, value)
    assert load_settings(env_file=file).owner_database_url == ""


def test_settings_come_from_the_environment_then_the_file_and_an_empty_value_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("REGISTRATION=closed\nPOOL_SIZE=7\nMAIL_FROM=\nWEB_THREADS=3\nweb_workers=5\nNOT_OURS=1\nPOOL_SIZE_TOO=2\n")
    monkeypatch.setenv("WEB_THREADS", "6")
    monkeypatch.setenv("REGISTRATION", "")
    settings = load_settings(env_file=file, port=9000)
    assert (settings.registration, settings.pool_size, settings.web_threads, settings.port) == ("closed", 7, 6, 9000)
    assert (settings.mail_from, settings.web_workers) == ("", 5)
    monkeypatch.setenv("web_threads", "2")
    assert load_settings(env_file=file).web_threads == 6  # the name as it is documented counts
    assert load_settings(env_file=tmp_path / "none").pool_size == 5


def test_a_slot_for_hashing_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "slots_folder", tmp_path)
    monkeypatch.setattr(passwords, "slots", 1)
    monkeypatch.setattr(passwords, "PATIENCE", 0.05)
    with passwords._slot(), pytest.raises(Unavailable), passwords._slot():
        pytest.fail("two in one slot")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could write into somebody else's folder")
def test_root_writes_no_assets_into_the_folder_of_another_account(tmp_path: Path, running_app: Flask) -> None:
    instance, private = tmp_path / "instance", tmp_path / "private"
    instance.mkdir()
    private.mkdir()
    (instance / "static").symlink_to(private)
    os.chown(instance, 65534, 65534)
    assets.init_app(Flask("probe"), Path(__file__).parents[1] / "static", instance)
    assert not list(private.iterdir())
