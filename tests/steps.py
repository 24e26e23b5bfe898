"""Steps that tests of several nouns take: signing in, inviting, registering, making agents, acting at once."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from flask import Flask

from portal.actor import Actor, Origin
from portal.auth import services as auth
from portal.config import Settings
from portal.extensions import release
from portal.mail_links import services as mail_links
from portal.system import ROOT
from portal.testing.browser import Browser, Page
from portal.testing.cast import PASSWORD, Person
from portal.worker.jobs import Application, Jobs
from portal.worker.stopping import Stop

# Acting at once


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own, begun together; their answers, as they came."""
    barrier, answers = threading.Barrier(len(acts)), list[Any]()

    def run(act: Callable[[], Any]) -> None:
        barrier.wait()
        answers.append(act())

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def posting(browser: Browser, path: str, data: dict[str, Any]) -> Callable[[], int]:
    """An act for `at_once`: sends a form, and answers the status."""
    return lambda: browser.client.post(path, data=data).status_code


def at_the_same_moment(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whoever looks whether a link works goes on only when all others have seen that it does."""
    look, together = mail_links.opened, threading.Barrier(number)

    def opened(*args: Any, **kwargs: Any) -> Any:
        found = look(*args, **kwargs)
        release()
        together.wait(timeout=60)
        return found

    monkeypatch.setattr(mail_links, "opened", opened)


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it came true in this time, looked at again and again; returns as soon as it has."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


# Signing in, joining, registering


def attempt(browser: Browser, person: Person | SimpleNamespace, *, expect: int, headers: Any = None, **changes: str) -> Any:
    page = browser.get("auth.sign_in")
    data = {
        **page.form("form[action*=sign-in]"),
        "organization": person.subdomain,
        "login": person.email,
        "password": person.password,
        **changes,
    }
    return browser.open("POST", "auth.sign_in", expect=expect, data=data, headers=headers)


WHO = {"first_name": "Mara", "last_name": "Ortiz", "username": "mara.ortiz", "password": PASSWORD}


def invite(browser: Browser, addresses: str, *, role: str = "user", expect: int = 200, **more: str) -> Any:
    return browser.post("invitations.invite", {"addresses": addresses, "role": role, "days": "7", **more}, expect=expect)


def link_in(page: Any) -> str:
    return urlsplit(str(page.select_one("input[readonly]")["value"])).path


def accept(app: Flask, link: str, *, expect: int = 303, **changes: str) -> tuple[Browser, Any]:
    browser = Browser(app)
    page = browser.get(link, expect=200 if expect != 404 else 404)
    form = page.form() if expect != 404 else {}
    return browser, browser.post(link, {**form, **WHO, **changes}, expect=expect)


def upload(browser: Browser, content: bytes | str, *, become: str = "invited", name: str = "people.csv", expect: int = 303) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return browser.post("imports.new", {"file": (io.BytesIO(data), name), "become": become}, expect=expect)


def make_code(browser: Browser, *, expect: int = 200, **changes: str) -> Any:
    form = {"nonce": browser.get("access_codes.index").form("form.form-sheet")["nonce"]}
    page = browser.post("access_codes.index", {**form, "label": "The choir", "days": "", "max_uses": "", **changes}, expect=expect)
    return page.select_one(".code").get_text(strip=True) if expect == 200 else page


JOINING = {**WHO, "email": "mara@x.example"}


def join(app: Flask, code: str, *, expect: int = 303, address: str = "127.0.0.1", **changes: str) -> tuple[Browser, Any]:
    browser = Browser(app, address)
    return browser, browser.post("access_codes.join", {"organization": "acme", "code": code, **JOINING, **changes}, expect=expect)


DUBLIN = {
    "address-country": "IE",
    "address-street_address": "4 Harbour Road",
    "address-city": "Dublin",
    "address-postal_code": "D13 X285",
    "phone": "01 496 0000",
}


def registration(**changes: str) -> dict[str, str]:
    """What a person types into the registration form."""
    return {
        "name": "Quiet Harbour",
        "full_name": "Quiet Harbour Funeral Directors Limited",
        "subdomain": "quiet-harbour",
        "description": "Answer gently.",
        **DUBLIN,
        "organization_email": "office@quietharbour.example",
        "admin_first_name": "Mara",
        "admin_last_name": "Ortiz",
        "admin_username": "mara",
        "admin_email": "Mara@QuietHarbour.example",
        "admin_password": PASSWORD,
        **{name.replace("address_", "address-", 1) if name.startswith("address_") else name: value for name, value in changes.items()},
    }


def register(browser: Browser, data: dict[str, str], *, expect: int = 303, **rest: Any) -> Any:
    page = browser.get("organizations.register")
    sent = {**page.form("main form[action='/register']"), **data}
    return browser.post("organizations.register", sent, expect=expect, **rest)


# Agents and what is shared


def make_agent(browser: Browser, *, expect: int = 303, **typed: str) -> Page:
    form = browser.get("agents.new").form("main form[action='/agents/new']")
    said = {"name": "Flower advice", "configuration": '{"tone": "calm"}', "is_enabled": "y", "publish": "y"}
    return browser.post("agents.new", {**form, **said, **typed}, expect=expect)


def edit_agent(browser: Browser, id_: str, *, expect: int = 303, **typed: str) -> Page:
    form = browser.get("agents.edit", agent_id=id_).form(f"main form[action='/agents/{id_}/edit']")
    return browser.post("agents.edit", {**form, "publish": "y", **typed}, agent_id=id_, expect=expect)


def listed(page: Page) -> list[str]:
    return [link.get_text(strip=True) for link in page.select("tbody th a")]


def stored_agent(owner: Any, column: str, id_: str) -> Any:
    owner.execute(f"SELECT {column} FROM agents WHERE id = %s", (id_,))
    return owner.fetchone()[0]


def offer(browser: Browser, agent_id: str, subdomain: str = "globex", *, expect: int = 303) -> Page:
    form = browser.get("shares.offer", agent_id=agent_id).form("main form[action$='/offer']")
    return browser.post("shares.offer", {**form, "subdomain": subdomain}, agent_id=agent_id, expect=expect)


def newest_share(owner: Any) -> str:
    """The id of the offer, or share, that was made last."""
    owner.execute("SELECT id::text FROM agent_shares ORDER BY id DESC LIMIT 1")
    return str(owner.fetchone()[0])


def share_state(owner: Any, share_id: str) -> str:
    owner.execute("SELECT state FROM agent_shares WHERE id = %s", (share_id,))
    return str(owner.fetchone()[0])


def share_entries(owner: Any, tenant: Any) -> list[tuple[str, str]]:
    """Who did what, of the shares in a tenant's audit log."""
    owner.execute(
        "SELECT actor_name, action FROM audit_entries WHERE tenant_id = %s AND object_type = 'share' ORDER BY seq", (str(tenant.id),)
    )
    return list(owner.fetchall())


# Accounts


def stored_user(owner: Any, person: Any) -> dict[str, Any]:
    owner.execute("SELECT to_jsonb(u) FROM users u WHERE id = %s", (str(person.id),))
    return dict(owner.fetchone()[0])


def grow_stale(owner: Any) -> None:
    owner.execute("UPDATE sessions SET confirmed_at = now() - interval '6 minutes'")


# The worker


def doing(app: Flask, settings: Settings, stop: Stop | None = None) -> Jobs:
    """The worker's duty of jobs, whose `act(connection)` does those that wait; `portal.testing.do_jobs` answers visitors too."""
    return Jobs(Application(settings, app), stop or Stop())


def lease_is_over(owner: Any) -> None:
    owner.execute("UPDATE jobs SET take_after = now() WHERE state IN ('queued', 'running')")


SENDER = "portal@mail.example.org"


@contextmanager
def workers(
    number: int, cluster: Any, database: str, program: str = "portal.worker", **settings: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Real processes of the worker; those that still run at the end are ended."""
    urls = cluster.urls(database)
    env = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL") and name not in {"MAIL_URL", "MAIL_FROM"}}
    env |= {"DATABASE_URL": urls["app"], "PLATFORM_DATABASE_URL": urls["platform"], "WORKER_DATABASE_URL": urls["worker"]}
    env |= {"SECRET_KEY": "a key that only these tests use, 32+", "MAIL_FROM": SENDER, **settings}
    running = [subprocess.Popen([sys.executable, "-m", program], env=env, cwd=ROOT) for _ in range(number)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


# Pages and processes


def said_before(page: Any, action: str) -> str:
    """What a closed <details> says above the button of the one form that does `action`."""
    [form] = page.select(f"form[action='{action}']")
    assert not form.find_parent("details").has_attr("open"), action
    return " ".join(form.select_one("p").get_text().split())


def figure(page: Any, label: str) -> str:
    assert page.select(".figures > div")
    for tag in page.select(".figures > div"):
        if label.lower() in tag.get_text(" ", strip=True).lower():
            return str(tag.select_one(".figure-number").get_text(strip=True))
    raise AssertionError(f"no figure {label}: {page.text}")


def add_users(owner: Any, tenant: Any, number: int, **more: str) -> None:
    """`number` users whose usernames and search texts are alike but for their numbers."""
    given = {"username": "'made' || n", "email": "'made' || n || '@many.example'", "search_text": "'made' || n || ' many@example'", **more}
    owner.execute(
        f"""INSERT INTO users (id, tenant_id, hashed_password, sort_key, {", ".join(given)})
            SELECT gen_random_uuid(), %s, '!', 'made' || lpad(n::text, 6, '0'), {", ".join(given.values())} FROM generate_series(1, %s) AS n""",
        (str(tenant.id), number),
    )


def acting(person: Any) -> Actor:
    """The person as a request knows her that began when she was in office, with a password typed a moment ago."""
    return Actor(
        id=person.id, tenant_id=person.tenant_id, role=person.role, username=person.username, email=person.email, is_verified=True,
        first_name=None, last_name=None,
        organization_name="", subdomain=person.subdomain, session_id=uuid4(), signed_in_at=datetime.now(UTC), confirmed=True, theme=None,
        time_zone=None, density=None, table_columns=None, table_rows=None, credential="", origin=Origin(),
    )  # fmt: skip


def actor(person: Any) -> Actor:
    """The person as a job acts for her: looked up now, without a session."""
    found = auth.actor_again(person.tenant_id, person.id, Origin("203.0.113.9"))
    assert found is not None
    return found


# The table of users

NAME = "Person 00000"

ACTS = (
    "change to user",
    "change to org_admin",
    "change to admin",
    "change to super_admin",
    "deactivate",
    "reactivate",
    "sign out",
    "remove",
    "hand over",
)


def door_of_act(act: str) -> tuple[str, dict[str, str]]:
    """The last part of an act's address, and what its form sends."""
    if act.startswith("change to "):
        return "role", {"role": act.removeprefix("change to ")}
    return act.replace(" ", "-"), {"name": NAME} if act == "remove" else {}


def act_on_user(browser: Browser, act: str, user_id: Any, /, *, expect: int, htmx: bool = False, **more: Any) -> Page:
    last, data = door_of_act(act)
    return browser.post(f"/users/{user_id}/{last}", {**data, **more}, expect=expect, htmx=htmx)


def acts_in_the_log(owner: Any) -> list[tuple[Any, ...]]:
    owner.execute(
        "SELECT action, actor_id::text, object_id::text, changes FROM audit_entries WHERE action <> 'signed_in' ORDER BY tenant_id, seq"
    )
    return list(owner.fetchall())


def user_rows(page: Page) -> list[str]:
    return [str(row["id"]).removeprefix("user-") for row in page.select("tbody tr")]


def users_shown(page: Page) -> str:
    return page.select_one(".counted [role=status]").get_text(" ", strip=True)
