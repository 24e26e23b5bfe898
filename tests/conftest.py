"""One PostgreSQL per test run, one database cloned per worker, the cast put back before each test that changed something."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from flask import Flask

from portal import create_app
from portal.config import Settings
from portal.database import connect
from portal.testing import Browser, Cluster, the_cast, write_cast

TEMPLATE = "portal_template"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNNING = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    folder = Path(tempfile.mkdtemp(prefix="portal-tests-"))
    RUNNING.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    cluster = Cluster(folder / "instance")
    RUNNING.enter_context(cluster.instance.running())
    os.environ["PORTAL_TEST_CLUSTER"] = str(folder / "instance")
    cluster.create_database(TEMPLATE)
    cluster.migrate(TEMPLATE)


def pytest_unconfigure(config: pytest.Config) -> None:
    RUNNING.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without Chromium the browser tests are left out, and one line says so; .ci/run demands them."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
    if CHROMIUM or os.environ.get("PORTAL_BROWSER_TESTS") == "required":
        return
    left_out = [item for item in items if item.get_closest_marker("e2e")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_report_header(config: pytest.Config) -> str:
    return f"Browser tests: {CHROMIUM}" if CHROMIUM else "Browser tests are left out: no Chromium was found (apt-get install chromium)."


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster(Path(os.environ["PORTAL_TEST_CLUSTER"]))


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
