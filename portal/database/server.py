"""One PostgreSQL server process: initdb, start, stop, and what a killed predecessor left behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from portal.database import binaries
from portal.system import Account, StartRefused, acting_as, end, spawn

SUPERUSER = "portal_admin"
PORT = "5432"  # names the socket only; nothing listens on TCP
TEMPORARY = "/tmp"  # noqa: S108  (the folder made there is refused unless it is ours)
READY_SECONDS = 300  # replaying the log after a crash takes its time
LOG_BYTES = 5_000_000
SETTINGS = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_error_verbosity": "terse",  # details and statements hold what people typed
    "log_min_error_statement": "panic",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server:
    """The server whose data lies in `instance`/postgres, run by `account`."""

    def __init__(self, instance: Path, account: Account, *, fast: bool = False, connections: int = 100) -> None:
        self.instance, self.data, self.log = instance, instance / "postgres", instance / "postgres.log"
        self.account, self.fast, self.connections = account, fast, connections
        short = sha256(str(instance).encode()).hexdigest()[:10]
        # Not below the instance: a socket's path must stay under 108 characters. Not TMPDIR: commands run elsewhere must find it too.
        place = TEMPORARY if os.access(TEMPORARY, os.W_OK | os.X_OK) else tempfile.gettempdir()
        self.socket = Path(place) / f"portal-{account.uid}-{short}"
        self.programs = Path()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, password: str) -> None:
        """Start and wait until connections are answered; the first start makes the data with this password of the superuser."""
        self.programs = binaries.reachable_by(self.account, self.instance)
        self._end_predecessor()
        self._make_socket_folder()
        if not (self.data / "PG_VERSION").exists():
            self._initialize(password)
        self._check_version()
        deadline = time.monotonic() + READY_SECONDS
        while not self._started(deadline):
            time.sleep(0.2)

    def stop(self) -> None:
        """Disconnect everybody, write everything, end."""
        if self.process:
            end(self.process, (signal.SIGINT, 30), (signal.SIGQUIT, 5))
            self.process = None
            with acting_as(self.account), suppress(OSError):
                self.socket.rmdir()

    def _initialize(self, password: str) -> None:
        unfinished, words = self.instance / "postgres.new", self.instance / "initdb.password"
        with acting_as(self.account):
            shutil.rmtree(unfinished, ignore_errors=True)
            with open(words, "w", opener=_private) as file:
                file.write(password)
        try:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major_version(self.programs) >= 17 else []
            made = self._spawn("initdb", "-D", unfinished, "-U", SUPERUSER, "-E", "UTF8", "--auth=scram-sha-256", f"--pwfile={words}",
                               "--locale=C.UTF-8", *locale, *["--no-sync"] * self.fast)  # fmt: skip
            if made.wait() != 0:
                raise StartRefused(f"The database could not be made: {self._last_words()}")
            with acting_as(self.account):
                unfinished.rename(self.data)  # at once: a killed initdb leaves nothing that looks finished
        finally:
            with acting_as(self.account):
                words.unlink(missing_ok=True)

    def _check_version(self) -> None:
        made, installed = int((self.data / "PG_VERSION").read_text()), binaries.major_version(self.programs)
        if made != installed:
            raise StartRefused(
                f"The data in {self.data} was written by PostgreSQL {made}, but {installed} is installed; "
                f"name the programs of {made} by PORTAL_PG_BIN, or move the data over with pg_upgrade."
            )

    def _started(self, deadline: float) -> bool:
        """True once it is ready; False where another try is worth it."""
        options = SETTINGS | (FAST if self.fast else {})
        options |= {"unix_socket_directories": str(self.socket), "max_connections": str(self.connections)}
        self.process = self._spawn("postgres", "-D", self.data, *[f"--{name}={value}" for name, value in options.items()])
        while self.alive:
            if self._status() == (self.process.pid, "ready"):
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise StartRefused(f"PostgreSQL did not get ready within {READY_SECONDS} seconds: {self._last_words()}")
            time.sleep(0.01)
        words = self._last_words()
        if "shared memory" in words and time.monotonic() < deadline:  # backends of a killed predecessor are still leaving
            return False
        raise StartRefused(f"PostgreSQL did not start: {words}")

    def _status(self) -> tuple[int, str]:
        """(process id, state) as the server notes them in postmaster.pid; (0, '') without one."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
        except (OSError, ValueError, IndexError):
            return 0, ""

    def _end_predecessor(self) -> None:
        """Stop a server that outlived its owner, and take away what a killed one left: its number may be somebody else's by now."""
        pid = self._status()[0]
        for number, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            if not self._is_ours(pid):
                break
            os.kill(pid, number)
            _wait(lambda: not self._is_ours(pid), seconds)
        with acting_as(self.account):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
                (self.socket / name).unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        if pid <= 0:
            return False
        if Path("/proc/self/cmdline").exists():
            try:
                return f"\0-D\0{self.data}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                return False
        seen = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return f"-D {self.data} " in seen.stdout

    def _make_socket_folder(self) -> None:
        """A folder in the common temporary place: made by us, or refused."""
        with acting_as(self.account):
            try:
                self.socket.mkdir(mode=0o700)
            except FileExistsError:
                found = self.socket.lstat()
                if found.st_uid != self.account.uid or found.st_mode != 0o40700:
                    raise StartRefused(f"{self.socket} is not the private folder of {self.account.name} it should be; remove it.") from None

    def _spawn(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        with acting_as(self.account):
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
                self.log.rename(self.log.with_suffix(".log.1"))
            log = open(self.log, "ab", opener=_private)  # noqa: SIM115
        with log:
            env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
            return spawn(
                [self.programs / program, *arguments],
                account=self.account,
                last_signal=signal.SIGINT,
                env=env,
                output=log,
            )

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()[-8:]
        told = [line for line in lines if "FATAL" in line or "error:" in line] or lines[-1:] or ["no reason given"]
        return f"{told[-1].strip()} (more in {self.log})"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
