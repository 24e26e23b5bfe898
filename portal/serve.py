"""`python -m portal.serve`, the one process of `make run`: starts database, web server and worker, watches and stops them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from portal.config import ROOT, Settings, SettingsRefused, load_settings
from portal.database import health, libpq_url
from portal.database.cluster import DATABASE, Instance, with_database
from portal.database.folder import instance_path
from portal.database.provision import provision
from portal.system import StartRefused, die_with_parent, end, say, spawn

READY = "Thanotopolis Portal is ready: {url} (first super_admin: .venv/bin/flask create-super-admin)"
GRACE = 10      # seconds that requests under way get when everything stops


class Stopped(BaseException):
    """Somebody asked this process to end."""


def main() -> int:
    """Serve until a signal asks to stop (0), or say in a sentence why not (1)."""
    _listen_to_signals()
    if "MAKELEVEL" in os.environ:       # a killed make must not leave a portal that nobody can stop by Ctrl-C
        die_with_parent(signal.SIGTERM)
    try:
        settings = load_settings(**_unless_private(ROOT / ".env"))
        listener = _listener(settings)
        if os.geteuid() == 0:
            from portal.handover import hand_over

            hand_over(settings, listener.fileno())
        serve(settings, listener)
    except (SettingsRefused, StartRefused) as refused:
        say(str(refused))
        return 1
    except (Stopped, KeyboardInterrupt):
        return 0
    return 1


def serve(settings: Settings, listener: socket.socket) -> None:
    """Start everything, announce it, and keep it alive; ends only by an exception."""
    with ExitStack() as stack:
        instance = stack.enter_context(_embedded(settings)) if settings.embedded else None
        settings = with_database(settings)
        _check_database(settings)
        processes = Processes(settings, listener, embedded=instance is not None)
        stack.callback(processes.stop)
        processes.start()
        with suppress(OSError):
            print(READY.format(url=settings.public_url), flush=True)
        database = [Kept("database", lambda: instance.server.alive, instance.revive)] if instance else []
        processes.watch(*database)


class Processes:
    """The web server and the worker beside it."""

    def __init__(self, settings: Settings, listener: socket.socket, *, embedded: bool) -> None:
        self.settings, self.listener = settings, listener
        self.env = environment(settings, embedded=embedded)
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both; returns when the web server answers."""
        self.web = spawn(
            [sys.executable, "-m", "gunicorn", *gunicorn_options(self.settings, self.listener.fileno()), "wsgi:app"],
            env=self.env, cwd=ROOT, pass_fds=[self.listener.fileno()], last_signal=signal.SIGQUIT,
        )  # fmt: skip
        self._start_worker()
        deadline = time.monotonic() + 60
        while not _healthy(self.listener, self.settings):
            if self.web.poll() is not None:
                raise StartRefused("The web server ended while it was starting; the reason stands above.")
            if time.monotonic() > deadline:
                raise StartRefused("The web server did not answer within a minute; look above for the reason.")
            time.sleep(0.02)

    def watch(self, *others: "Kept") -> None:
        """Keep the worker and the others alive as long as the web server lives."""
        kept = [Kept("worker", lambda: self.worker is not None and self.worker.poll() is None, self._start_worker), *others]
        while self.web and self.web.poll() is None:
            for one in kept:
                one.look()
            time.sleep(0.2)
        raise StartRefused("The web server ended by itself; the reason stands above. Start the portal again.")

    def stop(self) -> None:
        """The web server first, which lets requests end; both have ended afterwards."""
        if self.worker and self.worker.poll() is None:
            self.worker.terminate()
        if self.web:
            end(self.web, (signal.SIGTERM, GRACE + 2), (signal.SIGQUIT, 3))
        if self.worker:
            end(self.worker, (signal.SIGTERM, 5))

    def _start_worker(self) -> None:
        self.worker = spawn([sys.executable, "-m", "portal.worker"], env=self.env, cwd=ROOT)


class Kept:
    """Something that is started again when it ended, after pauses that grow while it keeps ending: 1, 2, 4 … 60 seconds."""

    def __init__(self, name: str, alive: Callable[[], bool], start: Callable[[], Any]) -> None:
        self.name, self.alive, self.start = name, alive, start
        self.pause, self.since = 1, time.monotonic()
        self.again: float | None = None

    def look(self) -> None:
        """Called a few times a second."""
        now = time.monotonic()
        if self.again is None and self.alive():
            self.pause = 1 if now - self.since > 60 else self.pause
        elif self.again is None:
            say(f"The {self.name} ended; it is started again in {self.pause} s.")
            self.again = now + self.pause
        elif now >= self.again:
            self._start()

    def _start(self) -> None:
        self.again, self.since, self.pause = None, time.monotonic(), min(60, self.pause * 2)
        try:
            self.start()
        except StartRefused as refused:
            say(str(refused))


def environment(settings: Settings, *, embedded: bool) -> dict[str, str]:
    """What the children see: never an address of the owner of the tables, nor of a superuser."""
    hidden = {"OWNER_DATABASE_URL", "PORTAL_LISTENER"}
    env = {name: value for name, value in os.environ.items() if name not in hidden and not (embedded and name.startswith("PG"))}
    return env | {
        "DATABASE_URL": settings.database_url,
        "PLATFORM_DATABASE_URL": settings.platform_database_url,
        "WORKER_DATABASE_URL": settings.worker_database_url,
        "SECRET_KEY": settings.secret_key,
        "PUBLIC_URL": settings.public_url,
        "PORT": str(settings.port),
        "INSTANCE_PATH": str(instance_path(settings)),
    }


def gunicorn_options(settings: Settings, descriptor: int) -> list[str]:
    beating = Path("/dev/shm")  # noqa: S108  (heartbeats in memory; the file is unlinked at once)
    options = {
        "bind": f"fd://{descriptor}",
        "worker-class": "gthread",
        "workers": settings.web_workers,
        "threads": settings.web_threads,
        "timeout": 60,
        "graceful-timeout": GRACE,
        "worker-tmp-dir": beating if os.access(beating, os.W_OK) else instance_path(settings),
        "log-level": "warning",
        "forwarded-allow-ips": "",      # X-Forwarded-* counts only behind PROXY_COUNT proxies, which the application reads
    }
    return ["--no-control-socket", *[f"--{name}={value}" for name, value in options.items()]]


@contextmanager
def _embedded(settings: Settings) -> Iterator[Instance]:
    """The embedded database runs, and its roles are as they should be."""
    per_worker = settings.pool_size + 6
    instance = Instance(instance_path(settings), run_as=settings.run_as, connections=max(100, settings.web_workers * per_worker + 20))
    with instance.running(own=True, patience=10):
        provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
        yield instance


def _check_database(settings: Settings) -> None:
    """Raises StartRefused unless the database may be served on; migrates it where the owner's address is known."""
    urls = [settings.database_url, settings.platform_database_url, settings.worker_database_url]
    for url in [*urls, *filter(None, [settings.owner_database_url])]:
        if refusal := health.reachable(url):
            raise StartRefused(refusal)
    _migrate(settings)
    found = [fault for url in urls for fault in _faults(url)]
    if found:
        raise StartRefused("\n".join(dict.fromkeys(found)))


def _migrate(settings: Settings) -> None:
    owner = settings.owner_database_url
    with closing(psycopg2.connect(libpq_url(owner or settings.database_url))) as connection:
        pending = health.migrations_pending(connection)
    if not pending:
        return
    if not owner:
        raise StartRefused(pending)
    from alembic.util import CommandError

    from portal.database.migrate import upgrade

    try:
        upgrade(owner)
    except CommandError as error:
        raise StartRefused(f"{pending} ({error})") from None


def _faults(url: str) -> list[str]:
    with closing(psycopg2.connect(libpq_url(url))) as connection:
        return health.faults(connection)


def _listener(settings: Settings) -> socket.socket:
    """The socket that will listen, taken before anything else is started; by root, so that PORT may be below 1024."""
    if inherited := os.environ.pop("PORTAL_LISTENER", ""):
        return socket.socket(fileno=int(inherited))
    deadline = time.monotonic() + 2         # a killed predecessor may still be leaving
    while True:
        try:
            return _bound(settings)
        except OSError as error:
            if time.monotonic() > deadline or not _in_use(error):
                reason = "is already taken; end what listens there, or choose another one by PORT" if _in_use(error) else f"cannot be used: {error.strerror}"
                raise StartRefused(f"Port {settings.port} on {settings.bind} {reason}.") from None
            time.sleep(0.1)
