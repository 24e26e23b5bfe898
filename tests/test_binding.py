"""The code's side of isolation: every transaction is bound, nothing of it is left in the pool, and either wall holds without the other."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask, g
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from portal import create_app
from portal.audit import services as audit
from portal.audit.commands import LookThrough
from portal.auth import services as auth
from portal.auth.models import IdempotencyKey
from portal.database import connect, health, tenancy
from portal.database.reading import Reading, add_rows
from portal.extensions import db, transaction
from portal.organizations import services as organizations
from portal.organizations.models import Tenant
from portal.overview import services as overview
from portal.system import StartRefused
from portal.testing.browser import Browser
from portal.testing.cast import Person
from portal.users.models import User
from tests.attack.furniture import NOBODYS, furnish
from tests.attack.walls import BOUND, a_role, close, walk, watched, without_filter
from tests.pooler import Pooler
from tests.steps import figure, until

WHOSE = text("SELECT DISTINCT tenant_id FROM users")
SERVER_PROCESS = text("SELECT pg_backend_pid()")
READ_WHOSE = Reading("SELECT DISTINCT tenant_id FROM users")
READ_BOUND = Reading(
    "SELECT current_setting('app.tenant_id') AS tenant, current_setting('app.user_id') AS user, current_setting('app.role') AS role"
)


@pytest.fixture
def furnished(cluster: Any, database: str, cast: SimpleNamespace) -> SimpleNamespace:
    furnish(cluster.urls(database)["owner"], cast)
    return cast


@pytest.fixture(scope="module")
def small_app(cluster: Any, database: str, tmp_path_factory: Any) -> Iterator[Flask]:
    """Every transaction uses the same connection."""
    app = create_app(cluster.settings(database, tmp_path_factory.mktemp("small"), pool_size=1))
    yield app
    close(app)


@pytest.fixture
def narrow(small_app: Flask, cast: SimpleNamespace) -> Iterator[Flask]:
    with small_app.app_context():
        yield small_app
        db.session.remove()


def bound_now() -> tuple[str | None, ...]:
    return tuple(db.session.execute(BOUND).one())


def in_pool() -> tuple[str | None, ...]:
    """What is bound on a connection as the pool hands it out."""
    with db.engine.connect() as connection:
        return tuple(connection.execute(BOUND).one())


# Nothing bound

ASKING: dict[str, Callable[[], Any]] = {
    "a statement": lambda: db.session.execute(WHOSE),
    "a query": lambda: db.session.scalars(db.select(User)).all(),
    "a row by its id": lambda: db.session.get(Tenant, UUID(int=1)),
    "a reading": lambda: READ_WHOSE(),
    "a connection": lambda: db.session.connection(),
    "a new row": lambda: (db.session.add(Tenant(name="X", subdomain="new-one")), db.session.flush()),
    "a savepoint": lambda: db.session.begin_nested() and db.session.execute(WHOSE),
}


@pytest.mark.parametrize("asking", ASKING)
def test_whoever_asks_before_a_tenant_is_bound_gets_no_connection(narrow: Flask, cast: SimpleNamespace, asking: str) -> None:
    taken: list[Any] = []

    def note(*given: Any) -> None:
        taken.append(given)

    event.listen(db.engine, "checkout", note)
    with pytest.raises(tenancy.TenantMissing):
        ASKING[asking]()
    event.remove(db.engine, "checkout", note)
    assert taken == []
    db.session.rollback()
    tenancy.bind(cast.acme.id)
    assert db.session.scalars(WHOSE).all() == [cast.acme.id]


def test_a_transaction_is_bound_to_tenant_user_and_role_and_a_savepoint_inherits(narrow: Flask, cast: SimpleNamespace) -> None:
    admin = cast.acme.admin
    expected = (str(cast.acme.id), str(admin.id), "org_admin")
    tenancy.bind(cast.acme.id, user=admin.id, role="org_admin")
    with db.session.begin_nested():
        assert bound_now() == expected
    db.session.begin_nested().rollback()
    assert bound_now() == expected
    db.session.commit()
    assert bound_now() == expected, "the next transaction is bound too"


def test_a_reading_is_bound_by_itself_and_begins_no_transaction(narrow: Flask, cast: SimpleNamespace) -> None:
    admin = cast.acme.admin
    tenancy.bind(cast.acme.id, user=admin.id, role="org_admin")
    assert tuple(READ_BOUND.one()) == (str(cast.acme.id), str(admin.id), "org_admin")
    assert [row.tenant_id for row in READ_WHOSE()] == [cast.acme.id]
    assert not db.session.registry.has(), "nothing was begun"
    tenancy.bind(None)
    assert READ_WHOSE() == []
    assert bound_lines(narrow) == [("", "", "")]


def test_a_reading_sees_what_its_transaction_wrote_and_nobody_else_does(narrow: Flask, cast: SimpleNamespace) -> None:
    tenancy.bind(cast.acme.id, role="org_admin")
    name = Reading("SELECT name FROM tenants WHERE id = %(tenant)s")
    db.session.execute(text("UPDATE tenants SET name = 'Written' WHERE id = :tenant"), {"tenant": cast.acme.id})
    assert name.one(tenant=cast.acme.id).name == "Written"
    db.session.rollback()
    assert name.one(tenant=cast.acme.id).name == "CANARY-acme House"


def test_rows_that_are_added_are_those_that_were_given(narrow: Flask, cast: SimpleNamespace) -> None:
    tenancy.bind(cast.acme.id, role="org_admin")
    before, moment = datetime.now(UTC), datetime(2100, 2, 28, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-9)))
    action, common = 'Zoë\'s "100 %s" \\x41 \\u0041 {} 😀', {"tenant_id": cast.acme.id, "expires_at": moment}
    rows = [
        {**common, "key": bytes(range(256)), "action": action, "result_id": None},
        {**common, "key": b"", "action": "", "result_id": uuid4()},
    ]
    add_rows(IdempotencyKey.__table__, rows)
    assert db.session.info["wrote"]
    found = db.session.execute(select(IdempotencyKey).order_by(IdempotencyKey.key.desc())).scalars().all()
    assert [{name: getattr(row, name) for name in rows[0]} for row in found] == rows
    assert all(before - timedelta(minutes=1) <= row.created_at <= datetime.now(UTC) for row in found), "the default of the database"
    db.session.rollback()
    wrong = [
        {"action": "\0"},
        {"action": "\ud800"},
        {"tenant_id": cast.globex.id},
        {"action": None},
        {"result_id": "no id"},
        {"nothing": 1},
    ]
    for said in wrong:
        with pytest.raises((DBAPIError, UnicodeEncodeError)):
            add_rows(IdempotencyKey.__table__, [{**rows[0], **said}])
        db.session.rollback()
    assert not db.session.execute(select(IdempotencyKey)).all()
    db.session.rollback()


def test_a_reading_that_fails_leaves_its_line_free_for_the_next_one_and_unbound(narrow: Flask, cast: SimpleNamespace) -> None:
    tenancy.bind(cast.acme.id)
    for statement in ("SELEC 1", "SELECT 1 / 0", "SELECT nothing FROM users"):
        with pytest.raises(DBAPIError):
            Reading(statement)()
        assert bound_lines(narrow) == [("", "", "")]
    assert [row.tenant_id for row in READ_WHOSE()] == [cast.acme.id]


def test_a_line_that_died_while_it_waited_is_replaced(narrow: Flask, cast: SimpleNamespace, cluster: Any, database: str) -> None:
    """The next reading is the first to notice. A pooler replaces it before anybody notices."""
    tenancy.bind(cast.acme.id)
    (process,) = Reading("SELECT pg_backend_pid() AS process").one()
    cluster.administer(f"SELECT pg_terminate_backend({process}, 5000)")
    if cluster.pooler:
        assert until(lambda: process not in Pooler(cluster.pooler[0]).server_processes(database))
    else:
        with pytest.raises(OperationalError):
            READ_WHOSE()
    assert [row.tenant_id for row in READ_WHOSE()] == [cast.acme.id]


INJECTED = [{"role": "user'; SELECT 1; --"}, {"user": "x' OR true"}, {"tenant": "'"}]


@pytest.mark.parametrize("words", INJECTED, ids=lambda words: next(iter(words)))
def test_what_is_bound_is_ids_and_a_role_and_never_words(narrow: Flask, cast: SimpleNamespace, words: dict[str, str]) -> None:
    g.bound = tenancy.Bound(**{"tenant": cast.acme.id, **words})
    for asking in (READ_WHOSE, lambda: db.session.execute(WHOSE)):
        with pytest.raises((TypeError, ValueError), match=r"no role|badly formed"):
            asking()
    db.session.rollback()


def bound_lines(app: Flask) -> list[tuple[str, ...]]:
    """What is bound on each line that waits for the next reading."""
    found = []
    for connection in app.extensions["portal.reading"].free:
        with connection.cursor() as cursor:
            cursor.execute(BOUND.text)
            found.append(tuple(value or "" for value in cursor.fetchone()))
    return found


# Nothing is left behind


def a_syntax_error() -> None:
    with pytest.raises(ProgrammingError):
        db.session.execute(text("SELEC 1"))


def a_broken_key() -> None:
    db.session.add(Tenant(id=g.bound.tenant, name="Twin", subdomain="twin"))
    with pytest.raises(IntegrityError):
        db.session.flush()


def an_exception() -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        _ = db.session.scalar(SERVER_PROCESS) / 0


def a_savepoint_taken_back() -> None:
    inner = db.session.begin_nested()
    db.session.execute(text("SET LOCAL app.tenant_id = ''; SET LOCAL app.role = 'super_admin'"))
    inner.rollback()
    assert bound_now() == (str(g.bound.tenant), str(g.bound.user), g.bound.role)


def a_failing_commit() -> None:
    db.session.add(Tenant(id=UUID(int=7), name="Not mine", subdomain="not-mine"))
    with pytest.raises(ProgrammingError, match="row-level security"):
        db.session.commit()


def a_request_that_ends_in_the_middle() -> None:
    db.session.execute(WHOSE)
    db.session.remove()


def a_server_process_that_died() -> None:
    process = db.session.scalar(SERVER_PROCESS)
    db.session.rollback()
    with pytest.raises(OperationalError):
        db.session.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})


ACCIDENTS = [
    a_syntax_error,
    a_broken_key,
    an_exception,
    a_savepoint_taken_back,
    a_failing_commit,
    a_request_that_ends_in_the_middle,
    a_server_process_that_died,
]


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda accident: accident.__name__)
def test_after_an_accident_the_pools_only_connection_knows_no_tenant(narrow: Flask, cast: SimpleNamespace, accident: Any) -> None:
    tenancy.bind(cast.acme.id, user=cast.acme.admin.id, role="org_admin")
    accident()
    db.session.rollback()
    assert not any(in_pool())
    tenancy.bind(None)
    assert db.session.scalars(WHOSE).all() == []
    db.session.rollback()
    tenancy.bind(cast.globex.id)
    assert db.session.scalars(WHOSE).all() == [cast.globex.id]
    assert bound_now() == (str(cast.globex.id), "", "")


def test_a_connection_that_died_while_it_waited_is_replaced(narrow: Flask, cast: SimpleNamespace, cluster: Any, database: str) -> None:
    """The binding is the first to notice; it must not keep the pool's only place. A pooler replaces it before anybody notices."""
    tenancy.bind(cast.acme.id)
    process = db.session.scalar(SERVER_PROCESS)
    db.session.rollback()
    cluster.administer(f"SELECT pg_terminate_backend({process}, 5000)")
    if cluster.pooler:
        assert until(lambda: process not in Pooler(cluster.pooler[0]).server_processes(database))
    else:
        with pytest.raises(OperationalError):
            db.session.execute(WHOSE)
        db.session.rollback()
    assert db.session.scalars(WHOSE).all() == [cast.acme.id]
    assert db.session.scalar(SERVER_PROCESS) != process


def test_a_block_bound_to_another_tenant_puts_back_what_was_bound(narrow: Flask, cast: SimpleNamespace) -> None:
    with tenancy.bound(cast.acme.id), transaction():
        assert db.session.scalars(WHOSE).all() == [cast.acme.id]
    with pytest.raises(tenancy.TenantMissing):
        db.session.execute(WHOSE)
    tenancy.bind(cast.acme.id, user=cast.acme.admin.id, role="org_admin")
    before = bound_now()
    db.session.rollback()
    with pytest.raises(ZeroDivisionError), tenancy.bound(cast.globex.id):
        look_around_and_fail(cast)
    assert bound_now() == before
    db.session.rollback()


def test_within_a_transaction_nobody_else_can_be_bound(narrow: Flask, cast: SimpleNamespace) -> None:
    tenancy.bind(cast.acme.id)
    db.session.execute(WHOSE)
    with pytest.raises(RuntimeError, match="end it first"):
        tenancy.bind(cast.globex.id)
    db.session.rollback()
    with tenancy.bound(cast.globex.id):
        db.session.execute(WHOSE)
    assert bound_now()[0] == str(cast.acme.id), "what the block left open is over"


def test_what_was_loaded_for_one_tenant_is_not_found_again_for_another(narrow: Flask, cast: SimpleNamespace) -> None:
    tenancy.bind(cast.acme.id)
    person = db.session.get(User, cast.acme.admin.id)
    db.session.commit()
    tenancy.bind(cast.globex.id)
    assert db.session.get(User, person.id) is None


def look_around_and_fail(cast: SimpleNamespace) -> None:
    with transaction():
        assert db.session.scalars(WHOSE).all() == [cast.globex.id]
    with tenancy.bound(None, role="admin", pool="platform"), transaction():
        assert bound_now() == ("", "", "admin")
        assert len(db.session.scalars(WHOSE).all()) == len(vars(cast))
    with transaction():
        assert bound_now() == (str(cast.globex.id), "", "")
        _ = 1 // 0


def test_threads_over_a_small_pool_never_meet_a_neighbours_row(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path, pool_size=2))
    seen: list[Any] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        with app.app_context():
            for turn in range(150):
                seen.append(one_transaction((cast.acme, cast.globex, None)[(number + turn) % 3], chance))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(app.extensions["portal.reading"].free) <= 8, "no more lines than threads that read at once"
    close(app)
    assert len(seen) == 1200
    assert all(whose == expected for whose, expected in seen)
    assert {len(expected) for _, expected in seen} == {0, 1}


def one_transaction(tenant: Any, chance: random.Random) -> tuple[list[UUID], list[UUID]]:
    """Whose rows were seen, and whose should have been; one in five ends badly."""
    tenancy.bind(tenant.id if tenant else None, user=tenant.user.id if tenant else None, role="user")
    seen = [row.tenant_id for row in READ_WHOSE()] if chance.random() < 0.5 else []
    seen += [other for other in db.session.scalars(WHOSE) if other not in seen]
    fate = chance.random()
    try:
        if fate < 0.1:
            db.session.execute(text("SELECT 1 / 0"))
        elif fate < 0.2:
            with db.session.begin_nested():
                raise ZeroDivisionError
        db.session.commit()
    except Exception:
        db.session.rollback()
    return seen, [tenant.id] if tenant else []


# A request


def test_a_request_leaves_nothing_bound_in_any_pool(small_app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(small_app).sign_in(cast.acme.admin)
    pages = [("/", 200), ("/nowhere", 404), ("/sign-in", 200)]
    for path, status in pages:
        browser.get(path, expect=status)
        with small_app.app_context():
            for name, engine in db.engines.items():
                with engine.connect() as connection:
                    assert not any(connection.execute(BOUND).one()), f"{path} left its tenant in the pool {name}"
            assert set(bound_lines(small_app)) == {("", "", "")}, f"{path} left its tenant on a line"


def test_what_finds_the_actor_is_bound_to_the_credentials_tenant_and_the_rest_to_the_actor(app: Flask, furnished: Any) -> None:
    for person in (furnished.acme.admin, furnished.acme.user, furnished.platform.super):
        browser = Browser(app).sign_in(person)
        with watched(app) as seen:
            browser.get("/")
        (finding, first), *rest = seen
        assert "FROM sessions" in finding
        assert first == (str(person.tenant_id), "", "")
        assert rest
        assert {bound for _, bound in rest} == {(str(person.tenant_id), str(person.id), person.role)}


def test_only_the_directory_is_asked_without_a_tenant(app: Flask, cast: SimpleNamespace) -> None:
    person = cast.acme.admin
    with watched(app) as seen:
        Browser(app).sign_in(person).post("auth.sign_out")
    unbound = [statement for statement, bound in seen if not bound[0] and not statement.startswith("SET LOCAL")]
    assert unbound
    assert all("organization_directory" in statement for statement in unbound)
    written = [bound for statement, bound in seen if re.match("INSERT|UPDATE|DELETE", statement)]
    assert len(written) >= 4
    assert set(written) == {(str(person.tenant_id), str(person.id), "org_admin")}


def test_a_credential_of_one_organization_opens_nothing_in_another_and_binds_nobody(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    say_tenant(browser, cast.globex.id)
    with watched(app) as seen:
        browser.get("/", expect=303)
    assert [bound for _, bound in seen] == [(str(cast.globex.id), "", "")]


def say_tenant(browser: Browser, tenant: UUID) -> None:
    with browser.client.session_transaction() as session:
        session["_user_id"] = f"{tenant.hex}.{session['_user_id'].partition('.')[2]}"


# Roles that row level security does not bind

MIGHTY = {
    "SUPERUSER": "is a superuser",
    "BYPASSRLS IN ROLE portal_app": "has BYPASSRLS",
    "IN ROLE portal_owner": "may act as portal_owner",
    "IN ROLE portal_app, portal_platform": "may act as portal_",
    "IN ROLE portal_app, pg_execute_server_program": "may act as pg_execute_server_program",
}


@pytest.mark.parametrize("rights", MIGHTY)
def test_the_portal_takes_no_connection_as_a_role_that_is_not_bound(cluster: Any, database: str, tmp_path: Any, rights: str) -> None:
    with a_role(cluster, database, rights) as url:
        app = create_app(cluster.settings(database, tmp_path, database_url=url, platform_database_url=url))
        with app.app_context():
            assert set(db.engines) == {None, "platform", "rates"}
            for engine in db.engines.values():
                with pytest.raises(StartRefused, match=MIGHTY[rights]):
                    engine.connect()
            tenancy.bind(NOBODYS)
            with pytest.raises(StartRefused, match=MIGHTY[rights]):
                READ_WHOSE()
        with closing(connect(url)) as connection:
            assert MIGHTY[rights] in health.faults(connection)[0]


def test_the_portal_takes_no_connection_as_another_of_its_roles(cluster: Any, database: str, tmp_path: Any) -> None:
    urls = cluster.urls(database)
    app = create_app(cluster.settings(database, tmp_path, database_url=urls["platform"], platform_database_url=urls["app"]))
    with app.app_context():
        for engine in db.engines.values():
            with pytest.raises(StartRefused, match="stands where portal_"):
                engine.connect()


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_that_shows_what_its_owner_sees_is_named(cluster: Any, database: str, kind: str) -> None:
    with closing(connect(cluster.superuser_url(database))) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE {kind} everybody AS SELECT * FROM users; GRANT SELECT ON everybody TO portal_app")
        cursor.execute("SET LOCAL ROLE portal_app")
        (fault,) = health.faults(connection)
        assert fault.startswith("The table everybody ")


@pytest.mark.parametrize("change", ["NO FORCE", "DISABLE"])
def test_a_table_that_forces_nothing_is_named(cluster: Any, database: str, change: str) -> None:
    for role in ("portal_app", "portal_platform", "portal_worker"):
        with closing(connect(cluster.superuser_url(database))) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {role}")
            assert health.faults(connection) == []
            cursor.execute(f"ALTER TABLE sessions {change} ROW LEVEL SECURITY; SET LOCAL ROLE {role}")
            (fault,) = health.faults(connection)  # and takes everything back
            assert fault.startswith("The table sessions ")


# Either wall without the other


@pytest.fixture
def unfiltered(cluster: Any, database: str, furnished: Any, tmp_path: Any) -> Iterator[SimpleNamespace]:
    """Row level security alone."""
    app = create_app(cluster.settings(database, tmp_path))
    yield SimpleNamespace(app=app, taken=without_filter(app))
    close(app)


@pytest.fixture
def unguarded(cluster: Any, database: str, furnished: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The code alone: the role has portal_app's rights, and row level security does not bind it."""
    monkeypatch.setattr(health, "demand_role", lambda *_: None)
    with a_role(cluster, database, "BYPASSRLS IN ROLE portal_app") as url:
        app = create_app(cluster.settings(database, tmp_path, database_url=url))
        yield app
        close(app)


def check_figures(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    page = Browser(app).sign_in(cast.acme.admin).get("/")
    owner.execute("SELECT count(*) FROM sessions WHERE tenant_id = %s", [str(cast.acme.id)])
    assert figure(page, "Sessions open now") == str(owner.fetchone()[0])
    assert figure(page, "Active users") == "4"


def test_without_the_codes_own_filter_the_pages_show_nothing_of_a_neighbour(unfiltered: Any, furnished: Any, owner: Any) -> None:
    walk(unfiltered.app, furnished)
    check_figures(unfiltered.app, furnished, owner)
    assert unfiltered.taken() > 30


def test_on_a_role_that_sees_everything_the_pages_show_nothing_of_a_neighbour(unguarded: Flask, furnished: Any, owner: Any) -> None:
    with unguarded.app_context(), tenancy.bound(None), transaction():
        assert len(db.session.scalars(WHOSE).all()) == len(vars(furnished)), "this role sees every organization"
    walk(unguarded, furnished)
    check_figures(unguarded, furnished, owner)


def test_on_a_role_that_sees_everything_a_credential_opens_nothing_elsewhere(unguarded: Flask, furnished: Any, owner: Any) -> None:
    browser = Browser(unguarded).sign_in(furnished.acme.admin)
    own = browser.client.get_cookie("__Host-portal").value
    say_tenant(browser, furnished.globex.id)
    browser.get("/", expect=303)
    browser.client.set_cookie("__Host-portal", own)
    browser.post("auth.sign_out")
    owner.execute("SELECT count(*) FROM sessions")
    assert owner.fetchone() == (len(vars(furnished)),), "signing out ended one session"


def test_without_both_walls_a_neighbour_is_seen(unguarded: Flask, furnished: Any) -> None:
    """Else the tests above would find nothing whatever happened."""
    without_filter(unguarded)
    assert "CANARY-globex" in Browser(unguarded).sign_in(furnished.acme.user).get("/").text


def test_asked_for_a_neighbour_the_statements_of_the_services_know_what_they_know_of_nobody(app: Flask, furnished: Any) -> None:
    acme, globex = furnished.acme, furnished.globex
    for person in (acme.admin, globex.admin):
        Browser(app).sign_in(person)
    asked = {
        overview.FIGURES: {"since": "2000-01-01"},
        organizations.TENANT: {},
        auth.OWN_SESSIONS: {},
        overview.ADMINISTRATORS: {"role": "org_admin"},
        overview.LAST_SIGN_IN: {},
        auth.FIND_ACCOUNT: {"username_key": "admin"},
    }

    def known(statement: Any, tenant: Any, person: Person) -> Any:
        who = {"tenant": tenant, "user": person.id, "email_key": person.email, **auth.open_parameters()}
        given = {**who, **asked[statement]}
        return statement(**given) if isinstance(statement, Reading) else db.session.execute(statement, given).all()

    with app.app_context(), tenancy.bound(acme.id, user=acme.admin.id, role="org_admin"), transaction():
        for statement in asked:
            nothing = known(statement, NOBODYS, globex.admin)
            assert known(statement, globex.id, globex.admin) == nothing
            assert known(statement, acme.id, acme.admin) != nothing
        assert audit.look_through(globex.id, LookThrough()) == []
        assert audit.look_through(acme.id, LookThrough())
