"""A PgBouncer of the tests' own: transaction pooling in front of a cluster, on a socket in a private folder, ended by its own pid."""

import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from portal.config import new_secret
from portal.database.cluster import ROLES
from portal.system import acting_as, end, spawn
from portal.testing import Cluster

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
PORT = "6432"  # names the socket only; nothing listens on TCP
ADMIN = "pooler_admin"
CONFIGURATION = """
[databases]
* = host={server} port={server_port}

[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
unix_socket_mode = 0700
auth_type = scram-sha-256
auth_file = {folder}/userlist.txt
admin_users = {admin}
default_pool_size = {connections}
max_client_conn = 500
query_wait_timeout = 30
"""


class Pooler:
    """A running PgBouncer whose socket is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def show(self, what: str) -> list[dict[str, Any]]:
        """The rows of one of the console's lists: POOLS, SERVERS, CLIENTS, STATS …"""
        logins = dict(re.findall(r'"(.*)" "(.*)"', (self.folder / "userlist.txt").read_text()))
        connection = psycopg2.connect(host=str(self.folder), port=PORT, dbname="pgbouncer", user=ADMIN, password=logins[ADMIN])
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(f"SHOW {what}")
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def server_processes(self, database: str) -> set[int]:
        """The process ids of the server that this pooler is connected to now."""
        return {row["remote_pid"] for row in self.show("SERVERS") if row["database"] == database}


@contextmanager
def pooling(cluster: Cluster, *, connections: int) -> Iterator[Pooler]:
    """PgBouncer in front of the running `cluster`, with at most `connections` to the server for each database and role."""
    account, passwords = cluster.instance.account, cluster.instance.secrets()
    folder = Path(tempfile.mkdtemp(prefix="portal-pooler-"))
    shutil.chown(folder, account.uid, account.gid)
    logins = {role: passwords[role] for role in ROLES.values()} | {ADMIN: new_secret()}
    pooler = Pooler(folder)
    with acting_as(account):
        _write(folder / "userlist.txt", "".join(f'"{role}" "{password}"\n' for role, password in logins.items()))
        server = {"server": cluster.instance.server.socket, "server_port": 5432}
        _write(folder / "pgbouncer.ini", CONFIGURATION.format(**server, folder=folder, port=PORT, admin=ADMIN, connections=connections))
        log = (folder / "log").open("wb")
    with log:
        process = spawn([PGBOUNCER or "pgbouncer", folder / "pgbouncer.ini"], account=account, output=log)
    try:
        _wait(pooler, process)
        yield pooler
    finally:
        end(process, (signal.SIGTERM, 10))
        shutil.rmtree(folder)


def _write(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


def _wait(pooler: Pooler, process: Any) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            pooler.show("VERSION")
            return
        except psycopg2.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start:\n{(pooler.folder / 'log').read_text()}") from None
            time.sleep(0.02)
