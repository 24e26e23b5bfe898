"""PgBouncer in transaction mode: organizations take turns on two connections to the server, and none finds what another left."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal import create_app
from portal.database import connect, health, tenancy
from portal.database.migrate import upgrade
from portal.extensions import db
from portal.testing import Cluster
from tests.attack.furniture import NOBODYS
from tests.attack.walls import close
from tests.pooler import PORT, Pooler, pooling

pytestmark = pytest.mark.pooler
THREADS, CONNECTIONS = 8, 2  # of the portal to the pooler; of the pooler to the server, for each role
LOOK = text("""
    SELECT pg_backend_pid() AS process,
           coalesce(current_setting('app.tenant_id', true), '') AS tenant,
           coalesce(current_setting('app.user_id', true), '') AS who,
           coalesce(current_setting('app.role', true), '') AS role,
           ARRAY (SELECT id::text FROM users ORDER BY id) AS people,
           ARRAY (SELECT id::text FROM tenants ORDER BY id) AS tenants""")
KEY = "INSERT INTO idempotency_keys (tenant_id, key, action, expires_at) SELECT {}, now() + interval '1 hour'"
LEAVE = text(KEY.format("CAST(:tenant AS uuid), sha256(gen_random_uuid()::text::bytea), 'committed'"))

# Ways to go wrong in the middle: a statement with its SQLSTATE, or an end of another kind.
BROKEN = {
    "a mistyped statement": ("SELEC 1", {"42601"}),
    "a division by zero": ("SELECT 1 / 0", {"22012"}),
    "a statement that takes too long": ("SET LOCAL statement_timeout = '2ms'; SELECT pg_sleep(10)", {"57014"}),
    "a key twice": (KEY.format("CAST(:tenant AS uuid), sha256('twice'), 'twice'") + " FROM generate_series(1, 2)", {"23505"}),
    "a row for somebody else": (KEY.format(f"'{NOBODYS}', sha256('stolen'), 'stolen'"), {"42501", "23503"}),
}
ENDS = [*BROKEN, "an exception", "another binding in a savepoint", "an end without a word"]
CRASHES = ["the server's process dies", "the portal's connection breaks"]


@dataclass(frozen=True)
class Turn:
    """Whom a transaction is bound to, into which tenant it writes, and what it must see."""

    tenant: UUID | None
    user: UUID | None
    role: str
    into: UUID | None
    people: list[str]
    tenants: list[str]

    @property
    def expected(self) -> tuple[Any, ...]:
        return str(self.tenant or ""), str(self.user or ""), self.role, self.people, self.tenants


NOBODY = Turn(None, None, "", None, [], [])


@dataclass
class Findings:
    """What the threads have met together."""

    ended: Counter[str] = field(default_factory=Counter)
    written: Counter[UUID | None] = field(default_factory=Counter)
    processes: set[int] = field(default_factory=set)
    wrong: list[Any] = field(default_factory=list)

    def look(self, turn: Turn, seen: Any) -> None:
        process, *found = seen
        self.processes.add(process)
        if tuple(found) != turn.expected:
            self.wrong.append((turn.expected, tuple(found)))


@pytest.fixture
def pooler(cluster: Cluster) -> Iterator[Pooler]:
    with pooling(cluster, connections=CONNECTIONS) as running:
        yield running


@pytest.fixture
def pooled(cluster: Cluster, pooler: Pooler, database: str, cast: SimpleNamespace, tmp_path: Path) -> Iterator[Flask]:
    """The portal behind the pooler, with more connections to it than it has to the server."""
    behind = Cluster(cluster.instance.path, (pooler.folder, PORT))
    app = create_app(behind.settings(database, tmp_path, pool_size=THREADS))
    yield app
    close(app)


def turns_of(cast: SimpleNamespace) -> list[Turn]:
    """As three people of each tenant."""
    return [
        Turn(tenant.id, person.id, person.role, tenant.id, ids(tenant.people.values()), ids([tenant]))
        for tenant in vars(cast).values()
        for person in list(tenant.people.values())[:3]
    ]


def turn_above_all(cast: SimpleNamespace, who: UUID | None = None, role: str = "") -> Turn:
    tenants = vars(cast).values()
    return Turn(None, who, role, cast.globex.id, ids(one for tenant in tenants for one in tenant.people.values()), ids(tenants))


def ids(things: Any) -> list[str]:
    return sorted(str(thing.id) for thing in things)


@dataclass(frozen=True)
class Work:
    """What one thread does: `count` bound transactions, one in five of which goes wrong in the middle; beside one in ten a look
    at a connection that nobody has bound, which must see what `unbound` says."""

    app: Flask
    turns: list[Turn]
    findings: Findings
    pool: tenancy.Pool = "app"
    unbound: Turn = NOBODY
    ends: tuple[str, ...] = tuple(ENDS)

    def do(self, thread: int, count: int) -> None:
        with self.app.app_context():
            for number in range(count):
                turn = self.turns[(thread + number) % len(self.turns)]
                tenancy.bind(turn.tenant, user=turn.user, role=turn.role, pool=self.pool)
                self.transact(turn, self.ends[(thread + number // 5) % len(self.ends)] if number % 5 == 4 else "")
                if number % 20 in (3, 14):  # after one that was committed, and after one that went wrong
                    self.look_unbound()
            db.session.remove()

    def transact(self, turn: Turn, end: str) -> None:
        self.findings.look(turn, db.session.execute(LOOK).one())
        db.session.execute(LEAVE, {"tenant": str(turn.into)})
        if end:
            go_wrong(turn, end)
            db.session.rollback()
        else:
            db.session.commit()
            self.findings.written[turn.into] += 1
        self.findings.ended[end or "committed"] += 1

    def look_unbound(self) -> None:
        engine = db.engines[None if self.pool == "app" else self.pool]  # past the session, which binds
        with engine.connect() as connection:
            self.findings.look(self.unbound, connection.execute(LOOK).one())
        self.findings.ended["looked without binding"] += 1


def go_wrong(turn: Turn, end: str) -> None:
    if end in BROKEN:
        statement, states = BROKEN[end]
        with pytest.raises(DBAPIError) as error:
            db.session.execute(text(statement), {"tenant": str(turn.into)})
        assert error.value.orig.pgcode in states
    elif end == "an exception":
        with pytest.raises(ZeroDivisionError):
            _ = db.session.scalar(LOOK) / 0
    elif end == "another binding in a savepoint":
        inner = db.session.begin_nested()
        db.session.execute(text("SET LOCAL app.tenant_id = ''; SET LOCAL app.user_id = ''; SET LOCAL app.role = 'super_admin'"))
        inner.rollback()
        assert tuple(db.session.execute(LOOK).one())[1:] == turn.expected
    elif end == "an end without a word":
        db.session.remove()
    else:
        crash(end)


def crash(end: str) -> None:
    if end == "the portal's connection breaks":
        connection = db.session.connection().connection.driver_connection
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.shutdown(socket.SHUT_RDWR)
    with pytest.raises(DBAPIError) as error:
        db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert error.value.connection_invalidated


def all_at_once(*works: tuple[Work, int, int]) -> None:
    """Each work by so many threads, so many transactions each; what a thread raises is raised here."""
    with ThreadPoolExecutor(sum(threads for _, threads, _ in works)) as pool:
        running = [pool.submit(work.do, thread, count) for work, threads, count in works for thread in range(threads)]
        for one in running:
            one.result()


def rows_left(owner: Any) -> dict[str, int]:
    owner.execute("SELECT tenant_id::text, count(*) FROM idempotency_keys WHERE action = 'committed' GROUP BY tenant_id")
    return dict(owner.fetchall())


def test_ten_thousand_transactions_over_two_connections_see_and_change_only_their_own(
    pooled: Flask, pooler: Pooler, database: str, cast: SimpleNamespace, owner: Any
) -> None:
    app, platform = Findings(), Findings()
    above = turn_above_all(cast)
    for_all = turn_above_all(cast, cast.platform.super.id, "super_admin")
    web = Work(pooled, turns_of(cast), app)
    console = Work(pooled, [*turns_of(cast)[:6], for_all], platform, pool="platform", unbound=above)
    all_at_once((web, THREADS, 1250), (console, 2, 500))

    assert app.wrong == []
    assert platform.wrong == []
    assert app.ended == {"committed": 8000, "looked without binding": 1000, **dict.fromkeys(ENDS, 250)}
    assert platform.ended["committed"] == 800
    assert sum(platform.ended[end] for end in ENDS) == 200
    assert len(app.processes) == CONNECTIONS
    assert len(platform.processes) == CONNECTIONS
    assert rows_left(owner) == {str(tenant): number for tenant, number in (app.written + platform.written).items()}

    servers = [row for row in pooler.show("SERVERS") if row["database"] == database]
    assert {row["remote_pid"] for row in servers} == app.processes | platform.processes
    assert Counter(row["user"] for row in servers) == {"portal_app": CONNECTIONS, "portal_platform": CONNECTIONS}
    (counted,) = [row for row in pooler.show("STATS") if row["database"] == database]
    assert counted["total_xact_count"] >= 12_100


def test_after_crashes_the_connections_that_are_left_know_nobody(
    pooled: Flask, pooler: Pooler, database: str, cast: SimpleNamespace
) -> None:
    findings = Findings()
    work = Work(pooled, turns_of(cast), findings, ends=tuple(CRASHES))
    for thread in range(3):  # one after the other: who loses its connection takes the pool's others along
        work.do(thread, 100)
    assert findings.wrong == []
    assert findings.ended == {"committed": 240, "looked without binding": 30, **dict.fromkeys(CRASHES, 30)}
    assert len(findings.processes) > 30
    assert len(pooler.server_processes(database)) <= CONNECTIONS


def test_what_is_bound_for_the_session_is_found_by_others(pooled: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would find nothing whatever happened."""
    findings = Findings()
    local = tenancy.Bound.settings.func
    monkeypatch.setattr(tenancy.Bound, "settings", property(lambda bound: local(bound).replace("SET LOCAL", "SET")))
    all_at_once((Work(pooled, turns_of(cast), findings), THREADS, 50))
    strangers = [found for expected, found in findings.wrong if expected == NOBODY.expected]
    assert len(strangers) > 10
    assert all(people for *_, people, _tenants in strangers)


def test_migrations_leave_no_lock_and_no_setting_on_the_poolers_connections(cluster: Cluster, pooler: Pooler) -> None:
    cluster.create_database("pooled")
    straight = cluster.urls("pooled")["owner"]
    through = f"{straight.partition('?')[0]}?host={pooler.folder}&port={PORT}"
    try:
        upgrade(through)
        left = pooler.server_processes("pooled")
        assert len(left) == CONNECTIONS
        with closing(connect(straight)) as connection:
            assert not health.migrations_pending(connection)
            assert answer(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = ANY (%s)", list(left)) == (0,)
        with closing(connect(through)) as one, closing(connect(through)) as another:  # in open transactions, so that each has its own
            looks = [answer(each, "SELECT current_setting('lock_timeout'), pg_backend_pid()") for each in (one, another)]
            assert {(limit, process in left) for limit, process in looks} == {("0", True)}
    finally:
        cluster.drop_database("pooled")


def answer(connection: Any, statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()
