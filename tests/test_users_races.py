"""Several administrators act at the same moment: one always stays in office, and nobody meets a fault."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from flask import Flask

from portal.actor import Actor, Origin
from portal.database import connect, tenancy
from portal.errors import Invalid, Unauthenticated
from portal.extensions import transaction
from portal.testing.browser import Browser
from portal.users import services
from portal.users.commands import ChangeRole, HandOver, RemoveUser
from tests.crowd import person, put
from tests.test_invitations import WHO, invite, link_in

Act = Callable[[Any, Actor], object]


def to(role: str) -> Act:
    return lambda user, by: services.change_role(ChangeRole(role=role), user, by=by)


ACTS: dict[str, Act] = {
    "demote": to("user"),
    "promote": to("org_admin"),
    "deactivate": lambda user, by: services.deactivate(user, by=by),
    "reactivate": lambda user, by: services.reactivate(user, by=by),
    "sign out": lambda user, by: services.sign_out_everywhere(user, by=by),
    "hand over": lambda user, by: services.hand_over(HandOver(), user, by=by),
    "remove": lambda user, by: services.remove(RemoveUser(name=user.full_name), user, by=by),
}


def acting(person: Any) -> Actor:
    """The person as a request knows her that began when she was in office, with a password typed a moment ago."""
    return Actor(
        id=person.id, tenant_id=person.tenant_id, role=person.role, username=person.username, email=person.email, is_verified=True, first_name=None, last_name=None,
        organization_name="", subdomain=person.subdomain, session_id=uuid4(), signed_in_at=datetime.now(UTC), confirmed=True, theme=None,
        time_zone=None, density=None, table_columns=None, table_rows=None, credential="", origin=Origin(),
    )  # fmt: skip


def perform(app: Flask, who: Any, act: str, whom: Any) -> bool:
    """Whether it was done; a refusal is a no, and everything else that is raised fails the test."""
    by = acting(who)
    pool = "platform" if who.subdomain == "platform" else "app"
    with app.app_context(), tenancy.bound(by.tenant_id, user=by.id, role=by.role, pool=pool):
        try:
            with transaction():
                user = services.account(by.tenant_id, whom.id)
                ACTS[act](user, by)
        except (Invalid, Unauthenticated):
            return False
    return True


@pytest.fixture
def at_once(app: Flask) -> Iterator[Callable[..., list[bool]]]:
    """`at_once((who, act, whom), …)` begins all of them at the same moment and tells which were done."""
    with ThreadPoolExecutor(3) as threads:

        def all_of(*acts: tuple[Any, str, Any]) -> list[bool]:
            barrier = threading.Barrier(len(acts))

            def one(who: Any, act: str, whom: Any) -> bool:
                barrier.wait()
                return perform(app, who, act, whom)

            return [future.result(timeout=30) for future in [threads.submit(one, *act) for act in acts]]

        yield all_of


@pytest.fixture
def restore(owner: Any) -> Callable[..., None]:
    def as_they_were(*people: Any) -> None:
        for one in people:
            owner.execute("UPDATE users SET role = %s, is_active = %s WHERE id = %s", (one.role, one.is_active, str(one.id)))

    return as_they_were


def in_office(owner: Any, organization: Any) -> int:
    owner.execute(
        "SELECT count(*) FROM users WHERE tenant_id = %s AND role IN ('org_admin', 'super_admin') AND state = 'active'",
        (str(organization.id),),
    )
    return int(owner.fetchone()[0])


def test_of_two_who_demote_each_other_one_stays_each_of_two_hundred_times(
    at_once: Any, restore: Any, owner: Any, cast: SimpleNamespace
) -> None:
    one, other = cast.acme.admin, cast.acme.admin2
    for _ in range(200):
        done = at_once((one, "demote", other), (other, "demote", one))
        assert sorted(done) == [False, True]
        assert in_office(owner, cast.acme) == 1
        restore(one, other)


RACES = {
    "each deactivates the other": [("admin", "deactivate", "admin2"), ("admin2", "deactivate", "admin")],
    "one demotes, the other deactivates": [("admin", "demote", "admin2"), ("admin2", "deactivate", "admin")],
    "one hands over while the other demotes": [("admin", "hand over", "user"), ("admin2", "demote", "admin")],
    "one hands over while the other deactivates": [("admin", "hand over", "user"), ("admin2", "deactivate", "admin")],
    "one hands over to the other, who demotes": [("admin", "hand over", "admin2"), ("admin2", "demote", "admin")],
    "each hands over to the other": [("admin", "hand over", "admin2"), ("admin2", "hand over", "admin")],
    "both hand over to the same": [("admin", "hand over", "user"), ("admin2", "hand over", "user")],
    "three in a ring": [("admin", "demote", "admin2"), ("admin2", "deactivate", "user"), ("user", "demote", "admin")],
}


@pytest.mark.parametrize("race", RACES)
def test_whatever_two_do_to_each_other_somebody_stays_in_office(
    at_once: Any, restore: Any, owner: Any, cast: SimpleNamespace, race: str
) -> None:
    people = cast.acme.people
    if race == "three in a ring":
        owner.execute("UPDATE users SET role = 'org_admin' WHERE id = %s", (str(cast.acme.user.id),))
        people = {**people, "user": SimpleNamespace(**{**vars(cast.acme.user), "role": "org_admin"})}
    for _ in range(30):
        done = at_once(*((people[who], act, people[whom]) for who, act, whom in RACES[race]))
        assert any(done)
        assert in_office(owner, cast.acme) >= 1
        restore(*people.values())


LEFT = "One administrator must stay in office."


def test_only_somebody_active_who_administers_holds_an_organization_up(app: Flask, owner: Any, cast: SimpleNamespace) -> None:
    one, other = cast.acme.admin, cast.acme.admin2

    def leave(*leaving: Any) -> None:
        with app.app_context(), tenancy.bound(cast.acme.id, user=one.id, role="org_admin"):
            services.keep_one_administrator(cast.acme.id, {person.id for person in leaving})

    leave(one)
    leave(other, cast.acme.user, cast.globex.admin)
    with pytest.raises(Invalid) as refused:
        leave(one, other)
    assert LEFT in refused.value.fields["role"]
    for gone in ("is_active = false", "is_active = false, accepted_at = NULL", "role = 'user'", "role = 'admin'"):
        owner.execute(f"UPDATE users SET {gone} WHERE id = %s", (str(other.id),))
        with pytest.raises(Invalid):
            leave(one)
        owner.execute("UPDATE users SET role = 'org_admin', accepted_at = now(), is_active = true WHERE id = %s", (str(other.id),))
    leave(one)


def test_whoever_administers_nothing_leaves_nobody_without_an_administrator(app: Flask, owner: Any, cast: SimpleNamespace) -> None:
    """An admin of the platform is not one who must stay, so that the last who must is kept in office by the count alone."""
    put(owner, [person(cast.platform.id, 1, role="org_admin")])
    owner.execute("UPDATE users SET is_active = false WHERE role = 'super_admin'")
    last = SimpleNamespace(**person(cast.platform.id, 1))
    assert not perform(app, cast.platform.admin, "deactivate", last)
    assert in_office(owner, cast.platform) == 1
    assert LEFT in Browser(app).sign_in(cast.platform.admin).post(f"/users/{last.id}/deactivate", expect=422).text


def test_one_super_admin_stays_above_the_organizations(at_once: Any, restore: Any, owner: Any, cast: SimpleNamespace) -> None:
    one, other = cast.platform.super, cast.platform.super2
    ACTS["demote to admin"] = to("admin")
    try:
        for act in ("demote to admin", "deactivate"):
            for _ in range(20):
                assert sorted(at_once((one, act, other), (other, act, one))) == [False, True]
                assert in_office(owner, cast.platform) == 1
                restore(one, other)
    finally:
        del ACTS["demote to admin"]


def test_of_removing_and_reactivating_one_account_one_is_done(at_once: Any, owner: Any, cast: SimpleNamespace) -> None:
    for _ in range(30):
        owner.execute("DELETE FROM users WHERE id = %s", (str(cast.acme.gone_admin.id),))
        put(owner, [person(cast.acme.id, 1, id=cast.acme.gone_admin.id, role="org_admin", is_active=False)])
        done = at_once((cast.acme.admin, "remove", cast.acme.gone_admin), (cast.acme.admin2, "reactivate", cast.acme.gone_admin))
        assert sorted(done) == [False, True]
        owner.execute("SELECT state FROM users WHERE id = %s", (str(cast.acme.gone_admin.id),))
        assert owner.fetchone() == ("removed" if done[0] else "active",)


def test_a_role_and_a_state_that_are_changed_at_once_are_both_changed(
    at_once: Any, restore: Any, owner: Any, cast: SimpleNamespace
) -> None:
    one = cast.acme.user
    for _ in range(30):
        owner.execute("TRUNCATE audit_entries")
        assert at_once((cast.acme.admin, "promote", one), (cast.acme.admin2, "deactivate", one)) == [True, True]
        owner.execute("SELECT role, state, auth_epoch FROM users WHERE id = %s", (str(one.id),))
        role, state, epoch = owner.fetchone()
        assert (role, state) == ("org_admin", "deactivated")
        owner.execute("SELECT changes FROM audit_entries WHERE action IN ('role_changed', 'user_deactivated') ORDER BY action")
        assert owner.fetchall() == [({"role": ["user", "org_admin"]},), ({"state": ["active", "deactivated"]},)]
        restore(one)
    assert epoch == 60


def test_of_one_role_given_twice_at_once_the_log_tells_one(at_once: Any, restore: Any, owner: Any, cast: SimpleNamespace) -> None:
    for _ in range(20):
        owner.execute("TRUNCATE audit_entries")
        assert at_once((cast.acme.admin, "promote", cast.acme.user), (cast.acme.admin2, "promote", cast.acme.user)) == [True, True]
        owner.execute("SELECT count(*) FROM audit_entries")
        assert owner.fetchone() == (1,)
        restore(cast.acme.user)


@pytest.mark.parametrize("act", ["promote", "deactivate", "sign out", "hand over"])
@pytest.mark.parametrize("loss", ["role = 'user'", "is_active = false"])
def test_whoever_lost_office_while_waiting_for_the_lock_does_nothing(
    app: Flask, cluster: Any, database: str, owner: Any, cast: SimpleNamespace, act: str, loss: str
) -> None:
    holder = connect(cluster.urls(database)["owner"])
    with ThreadPoolExecutor(1) as thread, holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM tenants WHERE id = %s FOR NO KEY UPDATE", (str(cast.acme.id),))
        waiting = thread.submit(perform, app, cast.acme.admin2, act, cast.acme.user)
        wait_until_somebody_waits_for(holder, owner)
        cursor.execute(f"UPDATE users SET {loss} WHERE id = %s", (str(cast.acme.admin2.id),))
        holder.commit()
        assert waiting.result(timeout=30) is False
    holder.close()
    owner.execute("SELECT role, state FROM users WHERE id = %s", (str(cast.acme.user.id),))
    assert owner.fetchone() == ("user", "active")
    owner.execute("SELECT count(*) FROM audit_entries")
    assert owner.fetchone() == (0,)


@pytest.mark.parametrize(
    ("last", "data"), [("role", {"role": "org_admin"}), ("remove", {"name": "CANARY-acme User"}), ("hand-over", {}), ("sign-out", {})]
)
def test_an_account_that_rose_above_the_actor_meanwhile_is_a_conflict_in_words(
    app: Flask, cluster: Any, database: str, owner: Any, cast: SimpleNamespace, last: str, data: dict[str, str]
) -> None:
    owner.execute("UPDATE users SET is_active = %s WHERE id = %s", (last != "remove", str(cast.acme.user.id)))
    browser = Browser(app).sign_in(cast.acme.admin)
    sent = {**data, "csrf_token": browser.token()}
    holder = connect(cluster.urls(database)["owner"])
    with ThreadPoolExecutor(1) as thread, holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM tenants WHERE id = %s FOR NO KEY UPDATE", (str(cast.acme.id),))
        waiting = thread.submit(browser.client.post, f"/users/{cast.acme.user.id}/{last}", data=sent)
        wait_until_somebody_waits_for(holder, owner)
        cursor.execute("UPDATE users SET role = 'super_admin' WHERE id = %s", (str(cast.acme.user.id),))
        holder.commit()
        answer = waiting.result(timeout=30)
    holder.close()
    assert answer.status_code == 409
    assert "given a higher role at this moment" in answer.text


HANDED_OUT = {
    "an invitation": ("/users/invite", {"addresses": "me@x.example", "role": "org_admin", "days": "7"}, "invitations"),
    "a link for a password": ("/users/{admin}/password-link", {}, "mail_links"),
    "a code": ("/users/codes", {"label": "mine", "nonce": "once"}, "access_codes"),
}


@pytest.mark.parametrize("loss", ["role = 'user'", "is_active = false"])
@pytest.mark.parametrize("what", HANDED_OUT)
def test_whoever_loses_office_at_this_moment_hands_nothing_out(
    app: Flask, cluster: Any, database: str, owner: Any, cast: SimpleNamespace, what: str, loss: str
) -> None:
    path, data, table = HANDED_OUT[what]
    browser = Browser(app).sign_in(cast.acme.admin2)
    sent = {**data, "csrf_token": browser.token()}
    holder = connect(cluster.urls(database)["owner"])
    with ThreadPoolExecutor(1) as thread, holder, holder.cursor() as cursor:
        cursor.execute(f"UPDATE users SET {loss} WHERE id = %s", (str(cast.acme.admin2.id),))
        waiting = thread.submit(browser.client.post, path.format(admin=cast.acme.admin.id), data=sent)
        wait_until_somebody_waits_for(holder, owner)
        holder.commit()
        answer = waiting.result(timeout=30)
    holder.close()
    assert answer.status_code in (303, 403, 422), "signed out, or told why; what was made would be shown by a page"
    owner.execute(f"SELECT count(*) FROM {table}")
    assert owner.fetchone() == (0,)


def test_two_who_make_links_for_each_other_at_once_meet_no_deadlock(app: Flask, cast: SimpleNamespace) -> None:
    browsers = {one.id: Browser(app).sign_in(one) for one in (cast.acme.admin, cast.acme.admin2)}
    tokens = {id_: browser.token() for id_, browser in browsers.items()}
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            barrier = threading.Barrier(2)

            def send(own: Any, other: Any, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return browsers[own].client.post(f"/users/{other}/password-link", data={"csrf_token": tokens[own]}).status_code

            sent = [threads.submit(send, *pair) for pair in (tuple(browsers), tuple(browsers)[::-1])]
            assert [one.result(timeout=30) for one in sent] == [200, 200]


# Using a link while somebody changes its account: both take the account first, so that neither waits for the other in a ring.

ENDING = {
    "invitation": ("DELETE FROM users WHERE id = %s", 404),
    "new password": ("UPDATE mail_links SET used_at = now() WHERE user_id = %s", 404),
    "address": ("UPDATE mail_links SET used_at = now() WHERE user_id = %s", 404),
    "address that stays open": ("UPDATE mail_links SET mailed_as = NULL WHERE user_id = %s", 303),
}


@pytest.mark.parametrize("kind", ENDING)
def test_a_link_that_is_used_while_its_account_is_changed_meets_no_deadlock(
    app: Flask, cluster: Any, database: str, owner: Any, cast: SimpleNamespace, kind: str
) -> None:
    admin, visitor, whose = Browser(app).sign_in(cast.acme.admin), Browser(app), str(cast.acme.user.id)
    data: dict[str, str] = {**WHO, "csrf_token": visitor.token()}
    if kind == "invitation":
        path = link_in(invite(admin, "mara@x.example"))
        owner.execute("SELECT id::text FROM users WHERE email = 'mara@x.example'")
        (whose,) = owner.fetchone()
    else:
        path = link_in(admin.post("forgotten.make_link", user_id=whose, expect=200))
        if kind != "new password":
            path = path.replace("/reset/", "/account/confirm/")
            owner.execute("UPDATE mail_links SET kind = 'email', email = %s, made_by = NULL", (cast.acme.user.email,))
            owner.execute("UPDATE users SET is_verified = false WHERE id = %s", (whose,))
    holder = connect(cluster.urls(database)["owner"])
    statement, status = ENDING[kind]
    with ThreadPoolExecutor(1) as thread, holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", (whose,))
        using = thread.submit(visitor.client.post, path, data=data)
        wait_until_somebody_waits_for(holder, owner)
        cursor.execute(statement, (whose,))
        holder.commit()
        assert using.result(timeout=30).status_code == status
    holder.close()


def wait_until_somebody_waits_for(holder: psycopg2.extensions.connection, owner: psycopg2.extensions.cursor) -> None:
    """For this connection: other workers' tests wait for each other in databases of their own."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        owner.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid)))", (holder.info.backend_pid,)
        )
        if owner.fetchone() == (True,):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")


def test_real_requests_meet_no_fault_when_two_demote_each_other(app: Flask, restore: Any, owner: Any, cast: SimpleNamespace) -> None:
    one, other = cast.acme.admin, cast.acme.admin2
    with ThreadPoolExecutor(2) as threads:
        for _ in range(15):
            barrier = threading.Barrier(2)
            ready = [(Browser(app).sign_in(who), whom) for who, whom in ((one, other), (other, one))]
            tokens = [browser.token() for browser, _ in ready]

            def send(browser: Browser, whom: Any, token: str, barrier: threading.Barrier = barrier) -> Any:
                barrier.wait()
                return browser.client.post(f"/users/{whom.id}/role", data={"role": "user", "csrf_token": token})

            sent = [threads.submit(send, browser, whom, token) for (browser, whom), token in zip(ready, tokens, strict=True)]
            answers = [future.result(timeout=30) for future in sent]
            assert sorted(answer.status_code for answer in answers) in ([303, 303], [303, 422]), [answer.text[:300] for answer in answers]
            done = [answer.headers.get("Location") == "/users" for answer in answers]
            assert sorted(done) == [False, True]  # the other was told why, or sent to the sign-in page
            assert in_office(owner, cast.acme) == 1
            restore(one, other)
