"""The processes that serve: the web server and the worker, started, watched and stopped together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from portal.system import NOT_FOR_CHILDREN, ROOT, Ending, StartRefused, end, say, spawn

if TYPE_CHECKING:  # what reads settings takes long to load, and the web server begins before it
    from portal.config import Settings

OWNER = "OWNER_DATABASE_URL"
# What the web server has of the environment before it is told more: nothing that others of its account may not see.
FOR_PYTHON = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV"}
FOR_PYTHON_TOO = ("LC_", "LD_", "MALLOC_", "GLIBC_", "PYTHON")
LENGTH = 8  # bytes of the number before what the web server is told: how long that is
GRACE = 10  # seconds that requests under way get when everything stops


class Web:
    """The web server: it loads the portal from its start on, is told later what it serves, and serves when the gate opens."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        command = [sys.executable, "-m", "portal.web", str(theirs.fileno())]
        env = {name: value for name, value in os.environ.items() if name in FOR_PYTHON or name.startswith(FOR_PYTHON_TOO)}
        self.process = spawn(command, env=env, cwd=ROOT, pass_fds=[theirs.fileno()], last_signal=signal.SIGQUIT)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tell(self, listener: socket.socket, options: list[str], env: dict[str, str]) -> None:
        """The environment and the command line of gunicorn, and the socket that listens; at once, though nobody may listen yet."""
        told = json.dumps({"options": options, "env": env}).encode()
        with suppress(OSError):  # it may have ended already
            socket.send_fds(self.line, [len(told).to_bytes(LENGTH)], [listener.fileno()])
            self.line.sendall(told)

    def open(self) -> None:
        """Let it serve; returns at once."""
        with suppress(OSError):
            self.line.sendall(b"\n")

    def stop(self) -> None:
        """Let requests end, then have it ended."""
        self.line.close()
        end(self.process, (signal.SIGTERM, GRACE + 2), (signal.SIGQUIT, 3))


class Processes:
    """The web server and the worker beside it; `instance` is the folder of local state, `embedded` whether the database is in it.

    Made, they have told the web server what to serve; `start` has it serve.
    """

    def __init__(self, web: Web, settings: "Settings", listener: socket.socket, instance: Path, ending: Ending, *, embedded: bool) -> None:
        self.web, self.settings, self.listener, self.ending = web, settings, listener, ending
        self.env = environment(settings, instance, embedded=embedded)
        self.worker: subprocess.Popen[bytes] | None = None
        web.tell(listener, gunicorn_options(settings, instance), self.env)

    def start(self) -> None:
        """Open the gate and start the worker; returns when the web server answers."""
        self.web.open()
        deadline = time.monotonic() + 60
        while not _healthy(self.listener, self.settings.hostname):
            self.ending.check()
            if self.web.process.poll() is not None:
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
        while self.web.process.poll() is None:
            self.ending.check()
            for one in kept:
                one.look()
            time.sleep(0.2)
        raise StartRefused("The web server ended by itself; the reason stands above. Start the portal again.")

    def stop(self) -> None:
        """Let requests end, then have both ended; nothing more happens when they have."""
        if self.worker and self.worker.poll() is None:
            self.worker.terminate()
        self.web.stop()
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


def environment(settings: "Settings", instance: Path, *, embedded: bool) -> dict[str, str]:
    """What the children see: never the address of the tables' owner, nor of a superuser."""
    left = {name for name in os.environ if name.upper() == OWNER or (embedded and name.startswith("PG"))}
    env = {name: value for name, value in os.environ.items() if name not in left} | {OWNER: NOT_FOR_CHILDREN}
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


def gunicorn_options(settings: "Settings", instance: Path) -> list[str]:
    """How gunicorn is called, but for `bound_to` a socket: threads, with no log of accesses.

    The application is loaded once and its workers are copies (half the time to start, less memory), so it must not connect while loading.
    """
    memory = Path("/dev/shm")  # noqa: S108  (a heartbeat on a disk can block; the file is unlinked at once)
    options = {
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


def bound_to(descriptor: int) -> str:
    """The option of gunicorn that names a socket that is bound already."""
    return f"--bind=fd://{descriptor}"


def _healthy(listener: socket.socket, host: str) -> bool:
    import http.client

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
