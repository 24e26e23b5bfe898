"""Databases for tests: a PostgreSQL of one's own, provisioned and migrated, connected to as the roles that the portal really uses."""

from pathlib import Path

from portal.config import Settings, load_settings
from portal.database import connect
from portal.database.cluster import Instance
from portal.database.provision import provision

ROLES = ("owner", "app", "platform", "worker")
SECRET_KEY = "a key that only tests use, 32 signs"  # noqa: S105


class Cluster:
    """A PostgreSQL in `folder`, quick and careless with what it holds; it runs within `with cluster.instance.running():`.

    `pooler`, a folder and a port that name the socket of a pooler in front of it, is the way that the addresses of app, platform and
    worker take; owner and superuser always go straight to the server.
    """

    def __init__(self, folder: Path, pooler: tuple[Path, str] | None = None) -> None:
        self.instance, self.pooler = Instance(folder, fast=True), pooler

    def superuser_url(self, database: str) -> str:
        return self.instance.urls(database)["superuser"]

    def urls(self, database: str) -> dict[str, str]:
        """Addresses by who connects: owner, app, platform, worker."""
        found = self.instance.urls(database)
        return {role: found[role] if role == "owner" else self._through_the_pooler(found[role]) for role in ROLES}

    def _through_the_pooler(self, url: str) -> str:
        if self.pooler is None:
            return url
        folder, port = self.pooler
        return f"{url.partition('?')[0]}?host={folder}&port={port}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """An empty database with the portal's roles, or a copy of `template`."""
        if template is None:
            provision(self.superuser_url("postgres"), self.instance.secrets(), name)
            return
        self.administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER portal_owner')
        self.administer(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        self.administer(f'GRANT CONNECT ON DATABASE "{name}" TO portal_app, portal_platform, portal_worker')

    def migrate(self, database: str, to: str = "head") -> None:
        from portal.database.migrate import upgrade

        upgrade(self.instance.urls(database)["owner"], to)

    def drop_database(self, name: str) -> None:
        self.administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def administer(self, statement: str) -> None:
        connection = connect(self.superuser_url("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def settings(self, database: str, instance: Path, **changes: object) -> Settings:
        """The portal's settings for one of the databases; nothing of the environment's own is asked."""
        given = {
            **{f"{role}_database_url" if role != "app" else "database_url": url for role, url in self.urls(database).items()},
            "secret_key": SECRET_KEY,
            "instance_path": instance,
            "public_url": "http://localhost:8000",
            **changes,
        }
        return load_settings(env_file=None, **given)
