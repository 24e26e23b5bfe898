"""The processes that serve: the web server and the worker, started, watched and stopped together."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from portal.config import NOT_FOR_CHILDREN, ROOT, Settings
from portal.system import GATE, Ending, StartRefused, end, say, spawn

GRACE = 10  # seconds that requests under way get when everything stops


class Processes:
    """The web server and the worker beside it; `instance` is the folder of local state, `embedded` whether the database is in it."""

    def __init__(self, settings: Settings, listener: socket.socket, instance: Path, ending: Ending, *, embedded: bool) -> None:
        self.settings, self.listener, self.ending = settings, listener, ending
        self.env = environment(settings, instance, embedded=embedded)
        self.options = gunicorn_options(settings, listener.fileno(), instance)
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        self.gate: int | None = None

    def load(self) -> None:
        """Have the web server load the portal, and wait with it at the gate."""
        waiting, self.gate = os.pipe()
        command = [sys.executable, "-m", "gunicorn", *self.options, "wsgi:app"]
        descriptors = [self.listener.fileno(), waiting]
        self.web = spawn(command, env=self.env | {GATE: str(waiting)}, cwd=ROOT, pass_fds=descriptors, last_signal=signal.SIGQUIT)
        os.close(waiting)

    def start(self) -> None:
        """Open the gate and start the worker; returns when the web server answers."""
        if self.web is None or self.gate is None:
            raise RuntimeError("start() before load()")
        with suppress(OSError):  # it may have ended already
            os.write(self.gate, b"\n")
        deadline = time.monotonic() + 60
        while not _healthy(self.listener, self.settings.hostname):
            self.ending.check()
            if self.web.poll() is not None:
                raise StartRefused("The web server ended while it was starting; the reason stands above.")
            if time.monotonic() > deadline:
                raise StartRefused("The web server did not answer within a minute; look above for the reason.")
            time.sleep(0.02)
        self._start_worker()

    def watch(self, *others: "Kept") -> NoReturn:
        """Keep the worker and the others alive as long as the web server lives, which restarts its own workers."""
        kept = [
            Kept("worker", lambda: self.worker is not None and self.worker.poll() is None, self._start_worker),
            *others,
        ]
        while self.web and self.web.poll() is None:
            self.ending.check()
            for one in kept:
                one.look()
            time.sleep(0.2)
        raise StartRefused("The web server ended by itself; the reason stands above. Start the portal again.")

    def stop(self) -> None:
        """Let requests end, then have both ended; nothing more happens when they have."""
        if self.gate is not None:
            os.close(self.gate)
            self.gate = None
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


def environment(settings: Settings, instance: Path, *, embedded: bool) -> dict[str, str]:
    """What the children see: never the address of the tables' owner, nor of a superuser."""
    env = {name: value for name, value in os.environ.items() if not (embedded and name.startswith("PG"))}
    env["OWNER_DATABASE_URL"] = NOT_FOR_CHILDREN  # also where it stands in a .env that they can read
    return env | {
        "DATABASE_URL": settings.database_url,
        "PLATFORM_DATABASE_URL": settings.platform_database_url,
        "WORKER_DATABASE_URL": settings.worker_database_url,
        "SECRET_KEY": settings.secret_key,
        "PUBLIC_URL": settings.public_url,
        "PORT": str(settings.port),
        "INSTANCE_PATH": str(instance),
        "REQUEST_SECONDS": str(settings.request_seconds),
    }


def gunicorn_options(settings: Settings, descriptor: int, instance: Path) -> list[str]:
    """How gunicorn is called: threads, on the socket that is bound already, with no log of accesses.

    The application is loaded once and its workers are copies (half the time to start, less memory), so it must not connect while loading.
    """
    memory = Path("/dev/shm")  # noqa: S108  (a heartbeat on a disk can block; the file is unlinked at once)
    options = {
        "bind": f"fd://{descriptor}",
        "worker-class": "portal.slow_clients.Worker",
        "workers": settings.web_workers,
        "threads": settings.web_threads,
        "timeout": 60,
        "graceful-timeout": GRACE,
        "worker-tmp-dir": memory if os.access(memory, os.W_OK) else instance,
        "log-level": "warning",
        "forwarded-allow-ips": "",  # X-Forwarded-* counts only behind PROXY_COUNT proxies, and the application reads it
    }
    return ["--preload", "--no-control-socket", *[f"--{name}={value}" for name, value in options.items()]]


def _healthy(listener: socket.socket, host: str) -> bool:
    address, port = listener.getsockname()[:2]
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    connection = http.client.HTTPConnection(anywhere.get(address, address), port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
