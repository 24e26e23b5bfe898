"""The embedded PostgreSQL of one instance folder: its secrets, its addresses, and who owns the running server."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from portal.config import Settings, SettingsRefused, new_secret
from portal.database import libpq_url
from portal.database.folder import MARK, claim, instance_path, owner
from portal.database.provision import provision
from portal.database.server import PORT, SUPERUSER, Server
from portal.system import StartRefused, acting_as, serving_account

DATABASE = "thanotopolis"
ROLES = {"owner": "portal_owner", "app": "portal_app", "platform": "portal_platform", "worker": "portal_worker"}
SECRETS = ["superuser", *ROLES.values(), "secret_key"]


def with_database(settings: Settings) -> Settings:
    """The settings with the addresses and the secret key of the embedded database filled in, where no other is given."""
    if not settings.embedded:
        return settings
    try:
        instance = Instance(instance_path(settings), run_as=settings.run_as)
        urls, key = instance.urls(), instance.secrets()["secret_key"]
    except StartRefused as refused:
        raise SettingsRefused(str(refused)) from None
    return settings.model_copy(
        update={
            "database_url": urls["app"],
            "owner_database_url": urls["owner"],
            "platform_database_url": urls["platform"],
            "worker_database_url": urls["worker"],
            "secret_key": settings.secret_key or key,
            "instance_path": instance.path,
        }
    )


@contextmanager
def database_running(settings: Settings) -> Iterator[None]:
    """The embedded database, where these settings mean it, answers within the block: for commands beside or without a running portal."""
    instance = instance_meant(settings)
    if instance is None:
        yield
        return
    with instance.running():
        if not instance.provisioned():
            provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
        yield


def instance_meant(settings: Settings) -> "Instance | None":
    """The instance that these settings mean: by naming no database, or by the address that `with_database` filled in."""
    try:
        instance = Instance(instance_path(settings), run_as=settings.run_as)
    except StartRefused:
        if settings.embedded:
            raise
        return None
    ours = settings.embedded or f"host={instance.server.socket}&" in settings.database_url
    return instance if ours else None


class Instance:
    """The local state of the portal in `path`: database, secrets, locks, compressed static files.

    Started by root the files belong to the account that the folder belongs to, for a new one to `run_as`, `thanotopolis` or `nobody`.
    `fast` gives up safety of the data for speed: for tests only. Raises `StartRefused`.
    """

    def __init__(self, path: Path, fast: bool = False, *, run_as: str = "", connections: int = 100) -> None:
        self.path = Path(path).resolve()
        self.account = (owner(self.path) if os.geteuid() == 0 else None) or serving_account(run_as)
        self.server = Server(self.path, self.account, fast=fast, connections=connections)
        self._secrets: dict[str, str] = {}

    def secrets(self) -> dict[str, str]:
        """The passwords by role, `superuser` and `secret_key`; made at the first call."""
        if not self._secrets:
            self.prepare()
            self._secrets = self._read_secrets()
        return self._secrets

    def urls(self, database: str = DATABASE) -> dict[str, str]:
        """Addresses of a database by who connects: owner, app, platform, worker, superuser. The server need not run."""
        passwords = self.secrets()
        logins = {who: (role, passwords[role]) for who, role in ROLES.items()}
        logins["superuser"] = SUPERUSER, passwords["superuser"]
        place = f"/{database}?host={self.server.socket}&port={PORT}"
        return {who: f"postgresql+psycopg2://{role}:{password}@{place}" for who, (role, password) in logins.items()}

    @contextmanager
    def running(self, own: bool = False, patience: float = 60) -> Iterator[None]:
        """The server answers within the block. Whoever comes first owns it: starts it, and stops it at the end.

        Others use the owner's; with `own=True` (the process that serves) they wait `patience` seconds for it to end, then are refused.
        """
        lock = self._lock(own, patience)
        if lock is None:
            yield
            return
        try:
            self.server.start(self.secrets()["superuser"])
            yield
        finally:
            self.server.stop()
            os.close(lock)

    def revive(self) -> bool:
        """Start the owned server again if it died; True when that was needed."""
        if self.server.alive:
            return False
        self.server.start(self.secrets()["superuser"])
        return True

    def answers(self) -> bool:
        """Whether the server takes connections now."""
        return self._takes(self.urls("postgres")["superuser"])

    def provisioned(self) -> bool:
        """Whether the database and its roles are there."""
        return self._takes(self.urls()["app"])

    def _takes(self, url: str) -> bool:
        try:
            psycopg2.connect(libpq_url(url), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _lock(self, own: bool, patience: float) -> int | None:
        """The descriptor that holds the lock, or None where another process holds it and its server answers."""
        self.prepare()
        deadline = time.monotonic() + patience
        while True:
            with acting_as(self.account):
                lock = os.open(self.path / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(lock, 200).decode(errors="replace").strip()
                os.close(lock)
            else:
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{MARK}: process {os.getpid()}\n".encode(), 0)
                return lock
            if not own and self.answers():
                return None
            if time.monotonic() > deadline:
                raise StartRefused(
                    f"The database in {self.path} is already in use ({holder}); end that process, or name another place by INSTANCE_PATH."
                )
            time.sleep(0.05)

    def prepare(self) -> None:
        """Make the folder with what lies beside a database; also where the database is elsewhere."""
        claim(self.path, self.account)
        with acting_as(self.account):
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.fstat(lock).st_size == 0:
                os.write(lock, f"{MARK}\n".encode())
            os.close(lock)
            for name in ("locks", "static"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)

    def _read_secrets(self) -> dict[str, str]:
        kept = self.path / "secrets.json"
        with acting_as(self.account):
            if not kept.exists():
                self._make_secrets(kept)
            try:
                found = json.loads(kept.read_text())
                return {name: str(found[name]) for name in SECRETS}
            except (OSError, ValueError, KeyError, TypeError):
                raise StartRefused(f"{kept} cannot be read or is not complete; bring it back from a backup.") from None

    def _make_secrets(self, kept: Path) -> None:
        if self.server.data.exists():
            raise StartRefused(f"{kept} is missing, and without it the database beside it cannot be opened; bring it back from a backup.")
        draft = self.path / f"secrets.{os.getpid()}"
        draft.unlink(missing_ok=True)
        with open(draft, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump({name: new_secret() for name in SECRETS}, file)
        try:
            os.link(draft, kept)  # fails where another process was faster: then its secrets hold
        except FileExistsError:
            pass
        finally:
            draft.unlink()
