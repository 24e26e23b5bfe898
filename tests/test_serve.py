"""`python -m portal.serve` as a person starts it: real processes, real signals, real refusals."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import psycopg2
import pytest

from portal.config import load_settings
from portal.database import libpq_url
from portal.database.cluster import DATABASE, Instance
from portal.database.provision import provision
from portal.processes import Kept, Web, environment
from portal.system import ROOT, Ending, StartRefused, Stopped, serving_account
from tests.steps import until

OURS = {name for name in os.environ if name.endswith("DATABASE_URL")} | {"MAKELEVEL", "SECRET_KEY", "INSTANCE_PATH", "PORT", "PUBLIC_URL"}
SIGNING = "a key that only these tests use, 32+"


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


@pytest.fixture
def port() -> int:
    return free_port()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Serving:
    """A started portal: what it said, its process tree, what it answers."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def get(self, path: str) -> int:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20).status
        except urllib.error.HTTPError as error:
            return error.code

    def tree(self) -> dict[int, str]:
        """Process ids with command lines, this one's and its descendants'."""
        rows = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
        parents = {int(pid): (int(parent), args) for pid, parent, args in (row.split(None, 2) for row in rows)}
        found = {self.process.pid}
        while more := {pid for pid, (parent, _args) in parents.items() if parent in found} - found:
            found |= more
        return {pid: parents[pid][1] for pid in found if pid in parents}

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def start_command(port: int, instance: Path, root: Path, settings: dict[str, str]) -> dict[str, object]:
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    env |= {"PORT": str(port), "INSTANCE_PATH": str(instance), "WEB_WORKERS": "1", "PYTHONPATH": str(root)} | settings
    return {"args": [sys.executable, "-m", "portal.serve"], "env": env, "cwd": root, "text": True}


@contextmanager
def serving(port: int, instance: Path, root: Path = ROOT, **settings: str) -> Iterator[Serving]:
    with subprocess.Popen(**start_command(port, instance, root, settings), stdout=subprocess.PIPE) as process:
        try:
            yield Serving(process, port)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def refused(port: int, instance: Path, **settings: str) -> str:
    """What a start that ends at once says; exit status 1 and nothing on stdout."""
    done = subprocess.run(**start_command(port, instance, ROOT, settings), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def is_one_sentence(told: str) -> bool:
    return told.count("\n") == 1 and told.rstrip().endswith((".", "all four")) and "Traceback" not in told


def uids(pids: dict[int, str]) -> set[int]:
    return {Path(f"/proc/{pid}").stat().st_uid for pid in pids}


def gone(pids: dict[int, str]) -> bool:
    return not [pid for pid in pids if _lives(pid)]


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty for one that only waits to be noticed
    return False


def one(url: str, statement: str) -> object:
    with closing(psycopg2.connect(libpq_url(url))) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


# Its life


def test_the_portal_lives_is_killed_and_lives_again(place: Path, port: int) -> None:
    instance = place / "instance"
    ready = f"Thanotopolis Portal is ready: http://localhost:{port} (first super_admin: .venv/bin/flask create-super-admin)"

    with serving(port, instance) as portal:
        assert portal.line() == ready
        assert _nobody_is_connected(Instance(instance)), "the workers are copies: what was connected before would be shared"
        assert [portal.get("/healthz"), portal.get("/readyz")] == [200, 200]
        tree = portal.tree()
        assert uids(tree) == {serving_account().uid}
        for part in ("-m portal.serve", "-m portal.web", "-m portal.worker", "bin/postgres"):
            assert [args for args in tree.values() if part in args], part
        _knows_no_more_than_it_must(tree, Instance(instance).urls())
        assert stat.S_IMODE(instance.stat().st_mode) == 0o700
        assert [path for path in instance.iterdir() if path.stat().st_mode & 0o077] == []
        one(Instance(instance).urls()["owner"], "CREATE TABLE kept AS SELECT 1 AS number")
        assert portal.stop() == 0
        assert gone(tree)

    with serving(port, instance) as portal:
        assert portal.line() == ready
        assert one(Instance(instance).urls()["owner"], "SELECT number FROM kept") == 1
        _recovers_from_losses(portal, instance)
        tree = portal.tree()
        portal.process.kill()
        portal.process.wait()

    with serving(port, instance) as portal:
        assert portal.line() == ready
        assert gone(tree)
        assert one(Instance(instance).urls()["owner"], "SELECT number FROM kept") == 1
        tree = portal.tree()
        assert portal.stop(signal.SIGINT) == 0
        assert gone(tree)


def _nobody_is_connected(instance: Instance) -> bool:
    return (
        one(instance.urls()["superuser"], "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('portal_app', 'portal_platform')") == 0
    )


def _knows_no_more_than_it_must(tree: dict[int, str], urls: dict[str, str]) -> None:
    for pid, args in tree.items():
        if "portal.web" in args or "portal.worker" in args:
            env = Path(f"/proc/{pid}/environ").read_text()
            assert (urls["app"] in env) == ("portal.worker" in args), "the web server is told later, and not in its environment"
            assert urls["owner"].split(":")[2].split("@")[0] not in env
            assert urls["superuser"].split(":")[2].split("@")[0] not in env


def _recovers_from_losses(portal: Serving, instance: Path) -> None:
    """The worker and PostgreSQL are killed; both are there again without a new start."""
    worker, server = (next(pid for pid, args in portal.tree().items() if part in args) for part in ("-m portal.worker", "bin/postgres"))
    os.kill(worker, signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    assert until(lambda: portal.get("/readyz") == 200 and server not in portal.tree())
    assert until(lambda: len([args for pid, args in portal.tree().items() if pid != worker and "-m portal.worker" in args]) == 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another account")
def test_root_hands_over_also_where_the_project_is_private(place: Path, port: int) -> None:
    private = place / "private"
    for name in ("portal", "migrations", "templates", "static"):
        shutil.copytree(ROOT / name, private / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wsgi.py", private)
    private.chmod(0o700)
    with serving(port, place / "instance", root=private) as portal:
        assert portal.line().startswith("Thanotopolis Portal is ready")
        assert portal.get("/readyz") == 200
        assert uids(portal.tree()) == {serving_account().uid}
    assert (stat.S_IMODE(private.stat().st_mode), private.stat().st_uid) == (0o700, 0)
    assert (place / "instance").stat().st_uid == serving_account().uid


def test_a_signal_while_it_starts_leaves_nothing(place: Path, port: int) -> None:
    with serving(port, place / "instance") as portal:
        assert until((place / "instance" / "postgres.log").exists)
        assert portal.stop() == 0
    assert until(lambda: not subprocess.run(["pgrep", "-f", str(place)], capture_output=True, check=False).stdout)


# Refusals


def test_a_taken_port_is_told(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = refused(port, place / "instance")
    assert told == f"Port {port} is already taken; end what listens there, or choose another by PORT.\n"
    assert not (place / "instance").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PORT": "http"}, "PORT: "),
        (
            {"DATABASE_URL": "postgresql://a@b/c", "WORKER_DATABASE_URL": "postgresql://w@b/c", "SECRET_KEY": SIGNING},
            "PLATFORM_DATABASE_URL is missing beside DATABASE_URL",
        ),
        ({"PUBLIC_URL": "http://portal.example.org"}, "ALLOW_HTTP=1"),
        pytest.param(
            {"RUN_AS": "no-such-account"},
            "RUN_AS names no-such-account",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another account"),
        ),
    ],
)
def test_a_setting_that_cannot_be_is_told(place: Path, port: int, settings: dict[str, str], words: str) -> None:
    told = refused(port, place / "instance", **settings)
    assert words in told
    assert told.count("\n") == 1
    assert not (place / "instance").exists()


def given(urls: dict[str, str]) -> dict[str, str]:
    return {
        "DATABASE_URL": urls["app"],
        "PLATFORM_DATABASE_URL": urls["platform"],
        "WORKER_DATABASE_URL": urls["worker"],
        "SECRET_KEY": SIGNING,
    }


def test_a_database_that_does_not_answer_is_told_without_its_password(place: Path, port: int) -> None:
    urls = {who: f"postgresql://portal_{who}:very-secret@127.0.0.1:1/thanotopolis" for who in ("app", "platform", "worker")}
    told = refused(port, place / "instance", **given(urls))
    assert is_one_sentence(told)
    assert "portal_app@127.0.0.1:1/thanotopolis" in told
    assert "very-secret" not in told


@pytest.mark.parametrize("who", ["DATABASE_URL", "PLATFORM_DATABASE_URL", "WORKER_DATABASE_URL"])
def test_a_role_that_row_level_security_does_not_bind_is_refused(cluster, database: str, place: Path, port: int, who: str) -> None:
    settings = given(cluster.urls(database)) | {who: cluster.superuser_url(database)}
    told = refused(port, place / "instance", **settings)
    assert is_one_sentence(told)
    assert "is a superuser, which row level security does not bind" in told


def test_pending_migrations_are_told_where_the_owner_is_not_known(cluster, place: Path, port: int) -> None:
    cluster.create_database("not_migrated")
    try:
        told = refused(port, place / "instance", **given(cluster.urls("not_migrated")))
    finally:
        cluster.drop_database("not_migrated")
    assert told == "The database has no tables of the portal yet; run `flask db upgrade`.\n"


def test_a_given_database_is_migrated_and_served_where_the_owner_is_known(cluster, place: Path, port: int) -> None:
    cluster.create_database("given")
    urls = cluster.urls("given")
    try:
        with serving(port, place / "instance", OWNER_DATABASE_URL=urls["owner"], **given(urls)) as portal:
            assert portal.line().startswith("Thanotopolis Portal is ready")
            assert portal.get("/readyz") == 200
            tree = portal.tree()
            assert not [args for args in tree.values() if "bin/postgres" in args]
            owner = libpq_url(urls["owner"]).partition("@")[0]
            assert not [pid for pid in tree if "portal.serve" not in tree[pid] and owner in Path(f"/proc/{pid}/environ").read_text()]
            _the_worker_cleans_up(urls)
            assert {path.name for path in (place / "instance").iterdir()} == {"compiled", "lock", "locks", "static"}
            assert portal.stop() == 0
            assert gone(tree)
    finally:
        cluster.drop_database("given")


def _the_worker_cleans_up(urls: dict[str, str]) -> None:
    from portal.worker.cleanup import clean_up

    one(urls["owner"], "INSERT INTO rate_limits (key, hits, expires) VALUES ('old', 1, 1), ('new', 1, 1e11)")
    with closing(psycopg2.connect(libpq_url(urls["worker"]))) as connection:
        connection.autocommit = True
        clean_up(connection)  # the worker that was just started may have been faster
    assert one(urls["owner"], "SELECT string_agg(key, ' ') FROM rate_limits WHERE key IN ('old', 'new')") == "new"


def test_clients_that_send_slowly_do_not_hold_the_portal(place: Path, port: int) -> None:
    with serving(port, place / "instance", REQUEST_SECONDS="1") as portal:
        assert portal.line().startswith("Thanotopolis Portal is ready")
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(24)]
        for client in slow:
            client.sendall(
                b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
                if client in slow[:12]
                else b"GET / HTTP/1.1\r\nX-"
            )
        assert portal.get("/healthz") == 200
        for client in slow:
            client.close()
        assert portal.stop() == 0


# The parts


def test_what_keeps_ending_is_started_again_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, starts = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept = Kept("worker", lambda: False, lambda: starts.append(now[0]))
    while now[0] < 200:
        kept.look()
        now[0] += 0.5
    assert [round(later - before) for before, later in pairwise(starts)] == [2, 4, 8, 16, 32, 60, 60]
    assert "The worker ended; it is started again in 1 s." in capsys.readouterr().err


def test_a_request_to_stop_is_not_lost_where_python_drops_it() -> None:
    ending = Ending()
    ending.check()
    with pytest.raises(Stopped):
        ending.ask(signal.SIGTERM, None)
    ending.ask(signal.SIGTERM, None)  # a second one does not disturb the ending
    with pytest.raises(Stopped):
        ending.check()


def test_what_cannot_be_started_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise StartRefused("The disk is full.")

    kept = Kept("database", lambda: False, fail)
    kept.again = 0
    kept.look()
    kept.look()
    assert "The disk is full." in capsys.readouterr().err


def test_the_web_server_that_is_told_nothing_ends_with_whoever_started_it() -> None:
    web = Web()
    web.line.close()
    assert web.process.wait(60) == 1


def test_the_web_server_that_still_loads_is_stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_DATABASE_URL", "postgresql://portal_owner@elsewhere/thanotopolis")
    with Web() as web:
        assert "portal_owner" not in Path(f"/proc/{web.process.pid}/environ").read_text()
    assert web.process.poll() == -signal.SIGTERM


def test_the_children_do_not_see_the_owner_nor_settings_of_other_servers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("OWNER_DATABASE_URL", "postgresql://portal_owner@elsewhere/thanotopolis")
    monkeypatch.setenv("owner_database_url", "postgresql://portal_owner@elsewhere/thanotopolis")
    urls = {who: f"postgresql://portal_{who}@here/thanotopolis" for who in ("app", "platform", "worker")}
    settings = load_settings(env_file=None, **{name.lower(): value for name, value in given(urls).items()})
    env = environment(settings, place, embedded=True)
    assert "PGHOST" not in env
    assert "portal_owner" not in " ".join(env.values())
    assert (env["DATABASE_URL"], env["SECRET_KEY"], env["INSTANCE_PATH"]) == (urls["app"], SIGNING, str(place))
    assert "PGHOST" in environment(settings, place, embedded=False)


def test_the_worker_survives_a_database_that_goes_and_ends_within_a_second(place: Path) -> None:
    instance = Instance(place / "instance", fast=True)
    with working(place, given(instance.urls())) as (worker, log):
        assert until(lambda: "could not do its work" in log.read_text())
        assert worker.poll() is None
        with instance.running():
            provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
            assert until(lambda: 'relation "jobs" does not exist' in log.read_text())
            began = time.monotonic()
            worker.terminate()
            assert worker.wait(5) == 0
            assert time.monotonic() - began < 1


@pytest.mark.parametrize(("who", "words"), {"app": "stands where portal_worker should", "superuser": "is a superuser"}.items())
def test_the_worker_works_as_its_own_role_only(cluster, database: str, place: Path, who: str, words: str) -> None:
    urls = cluster.urls(database) | {"superuser": cluster.superuser_url(database)}
    with working(place, given(urls | {"worker": urls[who]})) as (worker, log):
        assert until(lambda: words in log.read_text())
        assert worker.poll() is None
    assert "Traceback" not in log.read_text()


def test_a_worker_of_which_a_part_ended_by_a_fault_ends_and_says_so(place: Path, cluster, database: str) -> None:
    broken = "import sys, portal.worker.__main__ as worker\nworker.clean_up = lambda connection: 1 // 0\nsys.exit(worker.main())"
    with working(place, given(cluster.urls(database)), "-c", broken) as (worker, log):
        assert worker.wait(20) == 1
    assert "ZeroDivisionError" in log.read_text()


@contextmanager
def working(place: Path, settings: dict[str, str], *program: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A worker's process and its log; killed at the end where it still runs."""
    env = {name: value for name, value in os.environ.items() if name not in OURS} | settings
    log = place / "worker.log"
    with log.open("w") as file:
        worker = subprocess.Popen([sys.executable, *(program or ("-m", "portal.worker"))], env=env, cwd=ROOT, stderr=file)
    try:
        yield worker, log
    finally:
        worker.kill()
        worker.wait()
