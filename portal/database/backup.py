"""Backups of the embedded database: a file that holds all of it, written while the portal runs, and read into a fresh instance only."""

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import IO

from portal.config import Settings
from portal.database import binaries, connect, libpq_url
from portal.database.cluster import database_running, instance_meant
from portal.system import StartRefused


def back_up(settings: Settings, file: Path) -> None:
    """Write the embedded database into a new `file` that only its owner reads. Raises `StartRefused`; what exists is never touched."""
    url = _superuser(settings)
    with database_running(settings):
        if not _holds_tables(url):
            raise StartRefused(f"The database in {settings.instance_path} holds nothing yet; name another place by INSTANCE_PATH.")
        _make(file)
        try:
            _run("pg_dump", "--format=custom", f"--file={file}", url=url)
        except BaseException:
            file.unlink()
            raise


def _make(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise StartRefused(f"{file} exists already; name another file.") from None
    except OSError as error:
        raise StartRefused(f"{file} cannot be written ({error.strerror}); name another file.") from None


def restore(settings: Settings, file: Path) -> None:
    """Read a file of `back_up` (or of pg_dump --format=custom) into the embedded database, entirely or not at all.

    Raises `StartRefused` where that database holds tables already.
    """
    url = _superuser(settings)
    try:
        source = file.open("rb")
    except OSError as error:
        raise StartRefused(f"{file} cannot be read ({error.strerror}).") from None
    with source, database_running(settings):
        if _holds_tables(url):
            place = settings.instance_path
            raise StartRefused(
                f"The database in {place} holds tables already, and none is overwritten; name a fresh place by INSTANCE_PATH."
            )
        _run("pg_restore", "--exit-on-error", "--single-transaction", url=url, source=source)


def _superuser(settings: Settings) -> str:
    instance = instance_meant(settings)
    if instance is None:
        raise StartRefused("The database is on a server of its own, where its superuser does this; docs/operations.md says how.")
    return instance.urls()["superuser"]


def _holds_tables(url: str) -> bool:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)")
        return bool(cursor.fetchone()[0])


def _run(program: str, *options: str, url: str, source: IO[bytes] | int = subprocess.DEVNULL) -> None:
    """Run one of PostgreSQL's programs on the database of this address; its password is not on the command line."""
    login, _, place = libpq_url(url).partition("@")
    name, _, password = login.rpartition(":")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"PGPASSWORD": password}
    command = [str(binaries.installed() / program), *options, f"--dbname={name}@{place}"]
    done = subprocess.run(command, env=env, stdin=source, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise StartRefused(f"{program} did not succeed: {told[0].removeprefix(program).lstrip(': ')}")
