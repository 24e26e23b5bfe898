"""One PostgreSQL per test run, one database cloned per worker, the cast put back before each test that changed something."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from flask import Flask

from portal import create_app
from portal.config import Settings
from portal.database import connect
from portal.extensions import db
from portal.testing import Browser, Cluster, the_cast, write_cast
from tests.attack.roles import Role
from tests.pooler import PGBOUNCER, PORT, pooling
from tests.steps import make_agent, newest_share, offer

TEMPLATE = "portal_template"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROXIES = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("nginx", "caddy")}
OLDER_POSTGRESQL = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)
# Marks of tests that need something which not every machine has: what that is, where it was found, Debian's package of it.
OPTIONAL = {
    "e2e": ("Browser tests", "Chromium", CHROMIUM, "chromium"),
    "pooler": ("Tests of a pooler", "PgBouncer", PGBOUNCER, "pgbouncer"),
    "proxy": ("Tests behind a proxy", "nginx and Caddy", all(PROXIES.values()), "nginx caddy openssl"),
    "older_postgresql": ("Tests on an older PostgreSQL", "PostgreSQL of Debian", OLDER_POSTGRESQL, "postgresql"),
}
EVERYTHING = os.environ.get("PORTAL_TESTS") == "all"  # a machine that lacks something is refused, as in .ci/run
THROUGH = os.environ.get("PORTAL_TESTS_THROUGH")  # "pgbouncer": app, platform and worker reach the run's database through one
CONNECTIONS = 2  # that PgBouncer may open for each database and role, so that tests share them
RUNNING = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    for mark, (tests, need, *_) in OPTIONAL.items():
        config.addinivalue_line("markers", f"{mark}: {tests.lower()}, which need {need}")
    if hasattr(config, "workerinput"):
        return
    if EVERYTHING and (missing := lacking()):
        raise pytest.UsageError(f"PORTAL_TESTS=all needs everything, but {'; '.join(missing.values())}.")
    if THROUGH and not (THROUGH == "pgbouncer" and PGBOUNCER):
        raise pytest.UsageError(f"PORTAL_TESTS_THROUGH names {THROUGH}; only pgbouncer is known, and it must be installed.")
    folder = Path(tempfile.mkdtemp(prefix="portal-tests-"))
    RUNNING.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    cluster = Cluster(folder / "instance")
    RUNNING.enter_context(cluster.instance.running())
    os.environ["PORTAL_TEST_CLUSTER"] = str(folder / "instance")
    cluster.create_database(TEMPLATE)
    cluster.migrate(TEMPLATE)
    if THROUGH:
        os.environ["PORTAL_TEST_POOLER"] = str(RUNNING.enter_context(pooling(cluster, connections=CONNECTIONS)).folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    RUNNING.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests whose need this machine does not have are left out, and a line says so; PORTAL_TESTS=all demands them."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
    left = [item for item in items if lacking().keys() & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_report_header(config: pytest.Config) -> list[str]:
    left = [f"{OPTIONAL[mark][0]} are left out: {reason}." for mark, reason in lacking().items()]
    return [*left, *["The database is reached through PgBouncer."] * bool(THROUGH)]


def lacking() -> dict[str, str]:
    """The marks of the tests that this machine cannot run, and why."""
    return {mark: f"no {need} was found (apt-get install {package})" for mark, (_, need, found, package) in OPTIONAL.items() if not found}


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    pooler = os.environ.get("PORTAL_TEST_POOLER")
    return Cluster(Path(os.environ["PORTAL_TEST_CLUSTER"]), (Path(pooler), PORT) if pooler else None)


@pytest.fixture(scope="session")
def database(cluster: Cluster, worker_id: str) -> Iterator[str]:
    name = f"portal_{worker_id}"
    cluster.create_database(name, template=TEMPLATE)
    yield name
    cluster.drop_database(name)


@pytest.fixture(scope="session")
def settings(cluster: Cluster, database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return cluster.settings(database, tmp_path_factory.mktemp("instance"))


@pytest.fixture(scope="session")
def running_app(settings: Settings) -> Flask:
    return create_app(settings)


@pytest.fixture(scope="session")
def everybody() -> SimpleNamespace:
    return the_cast()


@pytest.fixture
def cast(cluster: Cluster, database: str, everybody: SimpleNamespace) -> SimpleNamespace:
    """The cast, freshly written into a database that holds nothing else."""
    owner = cluster.urls(database)["owner"]
    connection = connect(owner)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'portal_alembic_version'"
        )
        cursor.execute(f"TRUNCATE {cursor.fetchone()[0]} CASCADE")
    connection.close()
    write_cast(owner, everybody)
    return everybody


@pytest.fixture
def app(running_app: Flask, cast: SimpleNamespace) -> Flask:
    return running_app


@pytest.fixture
def admin(app: Flask, cast: SimpleNamespace) -> Browser:
    """An administrator of acme, who has just signed in."""
    return Browser(app).sign_in(cast.acme.admin)


@pytest.fixture
def mailing(cluster: Cluster, database: str, cast: SimpleNamespace, tmp_path: Path) -> Iterator[Flask]:
    """A portal that has a mail server; nobody sends what it queues."""
    app = create_app(cluster.settings(database, tmp_path, mail_url="smtp://localhost", mail_from="portal@mail.example.org"))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def owner(cluster: Cluster, database: str, cast: SimpleNamespace) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor of the tables' owner, who sees every row: for looking at what was stored."""
    connection = connect(cluster.urls(database)["owner"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


@pytest.fixture
def worker(cluster: Any, database: str) -> Iterator[Any]:
    """A connection as portal_worker, as the worker's loop has one."""
    with closing(connect(cluster.urls(database)["worker"])) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def database_role(cluster: Any, database: str) -> Iterator[Role]:
    role = Role(cluster.urls(database)["app"])
    yield role
    role.connection.close()


@pytest.fixture
def acme(app: Flask, cast: SimpleNamespace) -> Browser:
    return Browser(app).sign_in(cast.acme.admin)


@pytest.fixture
def globex(app: Flask, cast: SimpleNamespace) -> Browser:
    return Browser(app).sign_in(cast.globex.admin)


@pytest.fixture
def flowers(acme: Browser) -> str:
    """An agent of acme's, its first version in use."""
    return make_agent(acme, configuration='{"tone": "calm"}').location.rpartition("/")[2]


@pytest.fixture
def offered(acme: Browser, flowers: str, owner: Any) -> str:
    """The id of acme's offer of it to globex."""
    offer(acme, flowers)
    return newest_share(owner)


@pytest.fixture
def shared(offered: str, globex: Browser) -> str:
    globex.post("shares.accept", share_id=offered)
    return offered
