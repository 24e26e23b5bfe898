"""The portal as `make run` starts it, and the smallest page beside it on the same PostgreSQL; both end with the measuring."""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import proc, smallest
from portal.config import Settings, load_settings
from portal.database import connect, libpq_url
from portal.database.cluster import Instance
from portal.processes import bound_to, gunicorn_options
from portal.system import ROOT, StartRefused, end, spawn

Process = subprocess.Popen[bytes]
READY_SECONDS = 60


class Served:
    """A web server that was started, with its workers."""

    def __init__(self, start: Callable[[], Process], port: int, path: str, cookies: str = "") -> None:
        began = time.perf_counter()
        self.process, self.port = start(), port
        while _status(port, path, cookies) != 200:
            if self.process.poll() is not None or time.perf_counter() - began > READY_SECONDS:
                self.stop()
                raise StartRefused("What is to be measured did not start; the reason stands above.")
            time.sleep(0.005)
        self.started_after = time.perf_counter() - began

    def workers(self) -> list[int]:
        return proc.web_workers(self.process.pid)

    def stop(self) -> None:
        end(self.process, (signal.SIGTERM, 30))


@contextmanager
def instance() -> Iterator[Instance]:
    """A place for a portal of its own, gone afterwards. Raises StartRefused where the settings name a database: it would be filled."""
    if not load_settings().embedded:
        raise StartRefused("Measuring fills a database of its own; take DATABASE_URL out of the environment and .env meanwhile.")
    with TemporaryDirectory(prefix="portal-bench-") as made:
        Path(made).chmod(0o755)  # started by root, the portal serves as an account that has to find its own folder
        yield Instance(Path(made) / "instance")


@contextmanager
def portal(place: Instance) -> Iterator[Served]:
    """The portal with every setting at its default, once it says that it is ready; `started_after` is when a visitor had the first page."""
    port = free_port()
    env = _environment() | {"PORT": str(port), "PUBLIC_URL": f"http://localhost:{port}", "INSTANCE_PATH": str(place.path)}
    env["MAKELEVEL"] = "1"  # as below make: it ends when this process is gone
    command = [sys.executable, "-m", "portal.serve"]
    with _serving(lambda: subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE), port, "/sign-in") as served:
        assert served.process.stdout is not None
        if not served.process.stdout.readline():  # the free agents are brought in last; what fills the tables would be in their way
            raise StartRefused("The portal ended while it was starting; the reason stands above.")
        yield served


@contextmanager
def smallest_page(place: Instance, rows: int = 1_000_000, database: str = "smallest") -> Iterator[tuple[Served, str]]:
    """The smallest page over a database of its own, and the cookie of somebody who is signed in there."""
    secret = secrets.token_urlsafe(32)
    _fill_smallest(place, secret, rows, database)
    defaults = Settings()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = [*gunicorn_options(defaults, place.path), bound_to(listener.fileno())]
        options.remove("--preload")  # its pools are made while it is loaded
        smallest.app.secret_key = secrets.token_urlsafe(32)
        env = _environment() | {
            "SMALLEST_DATABASE": libpq_url(place.urls(database)["superuser"]),
            "SMALLEST_SECRET": smallest.app.secret_key,
            "SMALLEST_THREADS": str(defaults.web_threads),
        }
        command = [sys.executable, "-m", "gunicorn", *options, "bench.smallest:app"]
        cookie = f"session={_signed({'_user_id': secret})}"
        start = partial(spawn, command, env=env, cwd=ROOT, pass_fds=[listener.fileno()])
        with _serving(start, listener.getsockname()[1], "/", cookie) as served:
            yield served, cookie


def backends(database: str) -> list[int]:
    """The server processes of whoever is connected to a database, by the address of its superuser."""
    with closing(connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("""
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()""")
        return [pid for (pid,) in cursor]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _serving(start: Callable[[], Process], port: int, path: str, cookies: str = "") -> Iterator[Served]:
    served = Served(start, port, path, cookies)
    try:
        yield served
    finally:
        served.stop()


def _environment() -> dict[str, str]:
    """The environment with every setting at its default, which wins over .env too, and with Python keeping what it compiled, as it does."""
    settings = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    left = {*settings, "PYTHONDONTWRITEBYTECODE"}
    others = {name: value for name, value in os.environ.items() if name not in left and not name.startswith("PG")}
    return others | {name: str(default) for name, default in settings.items() if default not in ("", None)}


def _fill_smallest(place: Instance, secret: str, rows: int, database: str) -> None:
    """Fill it at the first time; each time somebody else is signed in."""
    with closing(connect(place.urls("postgres")["superuser"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [database])
        is_new = cursor.fetchone() is None
        if is_new:
            cursor.execute(f"CREATE DATABASE {database}")
    with closing(connect(place.urls(database)["superuser"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        if is_new:
            cursor.execute(smallest.SCHEMA, [rows])
        cursor.execute(smallest.SIGN_IN, [smallest.digest(secret)])
        cursor.execute("VACUUM ANALYZE")


def _signed(session: dict[str, str]) -> str:
    from flask.sessions import SecureCookieSessionInterface

    serializer = SecureCookieSessionInterface().get_signing_serializer(smallest.app)
    assert serializer is not None
    return str(serializer.dumps(session))


def _status(port: int, path: str, cookies: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", path, headers={"Host": f"localhost:{port}", **({"Cookie": cookies} if cookies else {})})
        return connection.getresponse().status
    return 0
