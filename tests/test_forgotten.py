"""Forgotten passwords and organizations: links that work once, answers that tell nobody who exists, and help from administrators."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from portal.database import connect
from portal.forgotten.services import DEAD
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.values import fingerprint
from portal.worker.asking import Asking
from portal.worker.cleanup import clean_up
from portal.worker.stopping import Stop
from tests.statements import counted
from tests.steps import at_once, at_the_same_moment, attempt, posting

NEW = "seven herons beside the old canal"
OPEN = "SELECT count(*) FROM mail_links WHERE used_at IS NULL"


@pytest.fixture
def worker(cluster: Any, database: str, cast: SimpleNamespace) -> Iterator[Any]:
    connection = connect(cluster.urls(database)["worker"])
    connection.autocommit = True
    yield connection
    connection.close()


def ask(app: Flask, login: str, organization: str = "acme", *, expect: int = 303, address: str = "127.0.0.1") -> Browser:
    browser = Browser(app, address)
    browser.post("forgotten.password", {"organization": organization, "login": login}, expect=expect)
    return browser


def answer(app: Flask, worker: Any) -> None:
    Asking(lambda: app, Stop()).act(worker)  # type: ignore[arg-type]


def mails(owner: Any) -> list[tuple[str, str]]:
    owner.execute("SELECT recipient, body_text FROM outbox ORDER BY recipient, subject")
    return list(owner.fetchall())


def mailed(app: Flask, worker: Any, owner: Any, login: str, organization: str = "acme") -> str:
    """The path of the link that this account gets by mail."""
    owner.execute("DELETE FROM outbox")
    ask(app, login, organization)
    answer(app, worker)
    ((_, text),) = mails(owner)
    found = re.search(r"http://localhost:8000(/reset/\S+)", text)
    assert found
    return found[1]


def made(browser: Browser, person: Any, **typed: str) -> str:
    """The path of the link that an administrator makes."""
    page = browser.post("forgotten.make_link", typed, user_id=person.id, expect=200)
    return urlsplit(str(page.select_one("input[readonly]")["value"])).path


def choose(app: Flask, link: str, password: str = NEW, *, expect: int = 303) -> Any:
    return Browser(app).post(link, {"password": password}, expect=expect)


# By mail


def test_a_link_is_mailed_and_a_new_password_ends_every_session_and_signs_nobody_in(
    mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any
) -> None:
    before = Browser(mailing).sign_in(cast.acme.user)
    link = mailed(mailing, worker, owner, cast.acme.user.email.upper())
    assert mails(owner)[0][0] == cast.acme.user.email
    visitor = Browser(mailing)
    assert "CANARY-acme House" in visitor.get(link).text
    visitor.get(link)
    visitor.post(link, {"password": NEW})
    assert "Sign in with it" in visitor.follow().text
    visitor.get("/", expect=303)
    before.get("/", expect=303)
    attempt(Browser(mailing), cast.acme.user, expect=303, password=NEW)
    attempt(Browser(mailing), cast.acme.user, expect=422, password=PASSWORD)
    owner.execute("SELECT action, actor_name, object_id::text FROM audit_entries WHERE action LIKE 'password%%' ORDER BY seq")
    user = str(cast.acme.user.id)
    assert owner.fetchall() == [("password_link_mailed", None, user), ("password_chosen_by_link", "CANARY-acme User", user)]


def test_platform_people_get_a_link_too(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    choose(mailing, mailed(mailing, worker, owner, "super", "platform"))
    attempt(Browser(mailing), cast.platform.super, expect=303, password=NEW)


def test_everybody_gets_the_same_answer_for_the_same_work(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    owner.execute("UPDATE users SET is_active = false WHERE username = 'user2'")
    asked = {"known": "user", "unknown": "nobody", "deactivated": "user2", "long gone": "gone"}
    told, work = set(), set()
    for login, organization in [*((login, "acme") for login in asked.values()), ("admin", "hades"), ("user", "nowhere")]:
        browser = Browser(mailing)
        token = browser.token()
        with counted(mailing) as seen:
            page = browser.post("forgotten.password", {"organization": organization, "login": login, "csrf_token": token})
        work.add(tuple(re.sub(r"\s+", " ", statement) for statement in seen if "rate_limits" not in statement))
        notice = browser.follow().select_one("[role=status], .said, main").get_text(" ", strip=True)
        told.add((page.status, page.location.replace(organization, "…"), notice.replace(organization, "…")))
    assert len(told) == 1, told
    assert len(work) == 1, work
    assert not any("users" in statement for statement in next(iter(work)))
    answer(mailing, worker)
    assert [recipient for recipient, _ in mails(owner)] == [cast.acme.user.email]
    owner.execute("SELECT count(*) FROM asked_mails")
    assert owner.fetchone() == (0,)


def test_asking_for_links_is_slowed_down_whether_anybody_is_meant_or_not(mailing: Flask, cast: SimpleNamespace) -> None:
    for login in ("user", "nobody"):
        for _ in range(5):
            ask(mailing, login)
        assert ask(mailing, login, expect=429).page.response.headers["Retry-After"]  # type: ignore[union-attr]
        ask(mailing, login, address="203.0.113.9")


def test_without_a_mail_server_the_page_says_so_and_nothing_is_queued(app: Flask, owner: Any) -> None:
    for endpoint, typed in {
        "forgotten.password": {"organization": "acme", "login": "user"},
        "forgotten.organizations": {"email": "user@acme.example"},
    }.items():
        page = Browser(app).get(endpoint)
        assert "no mail server is configured" in page.text
        assert not page.select("main form")
        Browser(app).post(endpoint, typed, expect=422)
    owner.execute("SELECT (SELECT count(*) FROM asked_mails), (SELECT count(*) FROM outbox)")
    assert owner.fetchone() == (0, 0)


@pytest.mark.parametrize(
    "wrong", [{"organization": ""}, {"login": ""}, {"login": "a\x00b"}, {"login": "x" * 255}, {"organization": "a\x00b"}]
)
def test_what_names_no_account_is_refused(mailing: Flask, owner: Any, wrong: dict[str, str]) -> None:
    Browser(mailing).post("forgotten.password", {"organization": "acme", "login": "user", **wrong}, expect=422)
    owner.execute("SELECT count(*) FROM asked_mails")
    assert owner.fetchone() == (0,)


# A link and its end


def test_a_link_works_once_and_dies_of_all_that_changes(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    user, admin = cast.acme.user, Browser(mailing).sign_in(cast.acme.admin)
    used = mailed(mailing, worker, owner, user.email)
    beside = mailed(mailing, worker, owner, user.email)
    choose(mailing, used)
    owner.execute("UPDATE users SET auth_epoch = 0")  # so that it is its use alone that it is dead of
    Browser(mailing).get(used, expect=404)
    owner.execute("UPDATE users SET auth_epoch = 1 WHERE id = %s", (str(user.id),))
    told = [used, beside]
    ends = {
        "over": "UPDATE mail_links SET expires_at = now()",
        "changed elsewhere": "UPDATE users SET email = 'other@x.example' WHERE id = %(id)s",
        "signed out everywhere": "UPDATE users SET auth_epoch = auth_epoch + 1 WHERE id = %(id)s",
        "deactivated": "UPDATE users SET is_active = false WHERE id = %(id)s",
        "suspended": "UPDATE tenants SET is_active = false WHERE subdomain = 'acme'",
    }
    for statement in ends.values():
        owner.execute("DELETE FROM rate_limits")
        link = mailed(mailing, worker, owner, user.username)
        Browser(mailing).get(link)
        owner.execute(statement, {"id": str(user.id)})
        told.append(link)
        Browser(mailing).get(link, expect=404)
        answers = {choose(mailing, one, expect=404).select_one(".message").get_text(strip=True) for one in told}
        assert answers == {DEAD}
        owner.execute("UPDATE users SET is_active = true, email = %s WHERE id = %s", (user.email, str(user.id)))
        owner.execute("UPDATE tenants SET is_active = true; DELETE FROM mail_links")
    role = mailed(mailing, worker, owner, user.username)
    admin.get("/")
    owner.execute("UPDATE tenants SET is_active = true")
    admin.post(f"/users/{user.id}/role", {"role": "org_admin"})
    choose(mailing, role, expect=404)


def test_an_altered_a_foreign_or_an_empty_secret_opens_nothing(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    link = mailed(mailing, worker, owner, cast.acme.user.email)
    tenant, _, secret = link.rpartition("/")[2].partition(".")
    assert secret not in str(owner.execute("SELECT array_agg(t::text) FROM mail_links AS t") or owner.fetchone())
    altered = [f"{cast.globex.id.hex}.{secret}", f"{tenant}.{secret}x", f"{tenant}.", f"{tenant}", ".", f".{secret}", "x", f"{tenant}.None"]
    for credential in altered:
        assert choose(mailing, f"/reset/{credential}", expect=404).select_one(".message").get_text(strip=True) == DEAD
        Browser(mailing).get(f"/reset/{credential}", expect=404)
    owner.execute("SELECT secret_hash FROM mail_links")
    assert bytes(owner.fetchone()[0]) == fingerprint(secret)
    choose(mailing, link)


def test_of_twenty_who_use_one_link_at_once_one_wins(
    mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = mailed(mailing, worker, owner, cast.acme.user.email)
    browsers = [(Browser(mailing), f"{NEW} number {number}") for number in range(20)]
    forms = [(browser, {**browser.get(link).form(), "password": password}) for browser, password in browsers]
    at_the_same_moment(monkeypatch, len(forms))
    assert sorted(at_once(*(posting(browser, link, data) for browser, data in forms))) == [303] + [404] * 19
    owner.execute("SELECT auth_epoch, (SELECT count(*) FROM audit_entries WHERE action = 'password_chosen_by_link') FROM users WHERE id = %s", (str(cast.acme.user.id),))  # fmt: skip
    assert owner.fetchone() == (1, 1)


def test_a_weak_password_is_refused_and_the_link_still_works(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    link = mailed(mailing, worker, owner, cast.acme.user.email)
    for weak in ("", "short", "aaaaaaaaaaaaaaaa", "CANARY-acme User", "nul\x00" * 5):
        page = choose(mailing, link, weak, expect=422)
        assert page.fault("password")
        assert not page.select_one("[name=password]").get("value")
    choose(mailing, link)


def test_links_that_are_over_are_deleted_by_the_worker(mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any) -> None:
    mailed(mailing, worker, owner, cast.acme.user.email)
    ask(mailing, "nobody")
    clean_up(worker)
    owner.execute("SELECT (SELECT count(*) FROM mail_links), (SELECT count(*) FROM asked_mails)")
    assert owner.fetchone() == (1, 1)
    owner.execute("UPDATE mail_links SET expires_at = now() - interval '1 s'; UPDATE asked_mails SET expires_at = now() - interval '1 s'")
    answer(mailing, worker)
    clean_up(worker)
    owner.execute("SELECT (SELECT count(*) FROM mail_links), (SELECT count(*) FROM asked_mails), (SELECT count(*) FROM outbox)")
    assert owner.fetchone() == (0, 0, 1)


def test_what_could_not_be_answered_is_begun_again_later(
    mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.mail import services as mail

    ask(mailing, "user")
    with monkeypatch.context() as broken:
        broken.setattr(mail, "queue", lambda *_args, **_kwargs: 1 // 0)
        answer(mailing, worker)
    owner.execute(OPEN)
    assert owner.fetchone() == (0,)
    answer(mailing, worker)
    assert mails(owner) == []
    owner.execute("UPDATE asked_mails SET take_after = now()")
    answer(mailing, worker)
    assert [recipient for recipient, _ in mails(owner)] == [cast.acme.user.email]


# Handed over by an administrator


def test_an_administrator_makes_a_link_that_is_shown_once(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    assert admin.get("users.show", user_id=cast.acme.user.id).select(f'a[href$="/users/{cast.acme.user.id}/password-link"]')
    first, link = made(admin, cast.acme.user), made(admin, cast.acme.user)
    assert link not in admin.get("forgotten.make_link", user_id=cast.acme.user.id).response.get_data(as_text=True)
    choose(app, first, expect=404)
    choose(app, link)
    attempt(Browser(app), cast.acme.user, expect=303, password=NEW)
    owner.execute("SELECT actor_id::text, object_id::text FROM audit_entries WHERE action = 'password_link_made' LIMIT 1")
    assert owner.fetchone() == (str(cast.acme.admin.id), str(cast.acme.user.id))
    for table in ("mail_links", "audit_entries", "outbox"):
        owner.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", (f"%{link.rpartition('.')[2]}%",))
        assert owner.fetchone() == (0,), table


def test_making_a_link_asks_for_a_fresh_password(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '1 hour'")
    page = admin.post("forgotten.make_link", user_id=cast.acme.user.id, expect=422)
    assert "once more" in page.fault("password")
    owner.execute(OPEN)
    assert owner.fetchone() == (0,)
    choose(app, made(admin, cast.acme.user, password=PASSWORD))


def test_rank_holds_for_links(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    cells = [
        (cast.acme.user, cast.acme.user2, 403),
        (cast.acme.admin, cast.acme.admin, 422),
        (cast.acme.admin, cast.acme.gone, 422),
        (cast.acme.admin, cast.globex.user, 404),
        (cast.acme.admin, cast.platform.admin, 404),
        (cast.platform.admin, cast.platform.super, 422),
        (cast.platform.admin, cast.platform.admin2, 422),
    ]
    for who, whom, expect in cells:
        Browser(app).sign_in(who).post("forgotten.make_link", user_id=whom.id, expect=expect)
    owner.execute(OPEN)
    assert owner.fetchone() == (0,)
    for who, whom in (
        (cast.acme.admin, cast.acme.admin2),
        (cast.platform.super, cast.platform.admin),
        (cast.platform.super, cast.platform.super2),
    ):
        choose(app, made(Browser(app).sign_in(who), whom))


# Which organizations


def which(app: Flask, email: str, *, expect: int = 303) -> Browser:
    browser = Browser(app)
    browser.post("forgotten.organizations", {"email": email}, expect=expect)
    return browser


def test_each_organization_of_an_address_sends_a_mail_and_the_page_tells_nothing(
    mailing: Flask, cast: SimpleNamespace, worker: Any, owner: Any
) -> None:
    everywhere = "Mara@x.example"
    for person in (cast.acme.user, cast.globex.user2, cast.hades.user, cast.globex.gone):
        owner.execute("UPDATE users SET email = %s, email_key = lower(%s) WHERE id = %s AND NOT (tenant_id = %s AND NOT is_active)",
                      (everywhere, everywhere, str(person.id), str(cast.globex.id)))  # fmt: skip
    told = {which(mailing, email).follow().text for email in ("MARA@x.example", "nobody@x.example")}
    assert len(told) == 1
    assert mails(owner) == []
    answer(mailing, worker)
    found = mails(owner)
    assert [recipient for recipient, _ in found] == ["MARA@x.example"] * 2
    for (_, text), subdomain in zip(found, ("acme", "globex"), strict=True):
        assert f"CANARY-{subdomain} House has one" in text
        assert f"Organization: {subdomain}" in text
        assert text.count("CANARY") == 1
    owner.execute("SELECT t.subdomain FROM outbox o JOIN tenants t ON t.id = o.tenant_id ORDER BY 1")
    assert owner.fetchall() == [("acme",), ("globex",)]


def test_asking_for_organizations_is_slowed_down(mailing: Flask, cast: SimpleNamespace) -> None:
    for _ in range(5):
        which(mailing, "user@acme.example")
    which(mailing, "USER@acme.example", expect=429)
    which(mailing, "user@globex.example")


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "nul\x00@x.example"])
def test_what_is_no_address_is_refused(mailing: Flask, owner: Any, email: str) -> None:
    assert which(mailing, email, expect=422).page.fault("email")  # type: ignore[union-attr]
    owner.execute("SELECT count(*) FROM asked_mails")
    assert owner.fetchone() == (0,)
