"""Backup and restore, tried: what comes back in a fresh place is the same, still keeps organizations apart, and serves."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal import create_app
from portal.config import Settings, load_settings
from portal.database import binaries, connect, libpq_url
from portal.database.cluster import DATABASE, Instance
from portal.database.migrate import upgrade
from portal.database.provision import provision, provision_given
from portal.system import ROOT
from portal.testing import Browser, the_cast, write_cast
from portal.testing.databases import SECRET_KEY
from tests.attack.catalog import RULES
from tests.attack.furniture import furnish
from tests.attack.walls import close

TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
CONTENT = 'SELECT count(*), md5(string_agg(one::text, chr(10) ORDER BY one::text COLLATE "C")) FROM {} AS one'
COMMANDS = re.findall(
    r"^runuser -u postgres -- (pg_dump|pg_restore) (.*)$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE
)


@dataclass
class Place:
    """A database, and a portal on it."""

    superuser: str
    app: Flask

    def run(self, *arguments: str) -> tuple[int, str]:
        """A `flask` command: exit status and everything it said."""
        done = self.app.test_cli_runner().invoke(args=list(arguments))
        return done.exit_code, done.output

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(connect(self.superuser)) as connection, connection.cursor() as cursor:
            cursor.execute("SET search_path = public")
            cursor.execute(statement)
            return list(cursor.fetchall())

    def content(self) -> dict[str, tuple[Any, ...]]:
        """Number and checksum of the rows of every table."""
        return {table: self.rows(CONTENT.format(table))[0] for (table,) in self.rows(TABLES)}

    def schema(self) -> str:
        """Every definition with its owner, grants and policies, as statements.

        Without casts of texts: PostgreSQL writes them elsewhere once it has read its own `role = ANY (…)`.
        """
        told = program("pg_dump", ["--schema-only"], self.superuser).stdout
        return re.sub(r"::(character varying|text)(\[\])?|[()]|^\\(un)?restrict .*$", "", told, flags=re.MULTILINE)


def program(name: str, options: list[str], url: str) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's programs, on the database of this address."""
    name, options = str(binaries.installed() / name), [*options, f"--dbname={libpq_url(url)}"]
    return subprocess.run([name, *options], capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the unprivileged account can reach: pytest's own are private to who runs it."""
    made = Path(tempfile.mkdtemp(prefix="portal-backup-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def running() -> Iterator[Callable[[Path], Instance]]:
    """Starts the embedded database of a folder, until the module's end."""
    with ExitStack() as stack:

        def start(folder: Path) -> Instance:
            instance = Instance(folder, fast=True)
            stack.enter_context(instance.running())
            return instance

        yield start


def embedded(instance: Instance) -> Place:
    settings = load_settings(env_file=None, instance_path=instance.path, database_url="", public_url="http://localhost:8000")
    return Place(instance.urls()["superuser"], create_app(settings))


@pytest.fixture(scope="module")
def cast() -> SimpleNamespace:
    return the_cast()


@pytest.fixture(scope="module")
def source(place: Path, running: Any, cast: SimpleNamespace) -> Iterator[Place]:
    """The embedded database with a row in every table, and audit entries that real acts have written."""
    instance = running(place / "source")
    provision(instance.urls()["superuser"], instance.secrets(), DATABASE)
    owner = instance.urls()["owner"]
    upgrade(owner)
    write_cast(owner, cast)
    furnish(owner, cast)
    with closing(connect(owner)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_entries")  # the furniture's are in no chain
        cursor.execute("INSERT INTO asked_mails (id, kind, login) VALUES (gen_random_uuid(), 'organizations', 'mara@x.example')")
    made = embedded(instance)
    act(made.app, cast)
    yield made
    close(made.app)


def act(app: Flask, cast: SimpleNamespace) -> None:
    for person in (cast.acme.admin, cast.acme.user, cast.globex.admin, cast.platform.super):
        Browser(app).sign_in(person).post("auth.sign_out")
    admin = Browser(app).sign_in(cast.acme.admin)
    form = admin.get("organizations.settings").form()
    admin.post("organizations.settings", {**form, "description": "Café ☕ at the “Liffey”,\nopen always \\ sometimes"})
    Browser(app).sign_in(cast.globex.user).get("organizations.settings", expect=403)


@pytest.fixture(scope="module", params=["embedded", "a server of one's own"])
def restored(request: Any, source: Place, place: Path, running: Any) -> Iterator[Place]:
    """The source's database in a fresh place, by the way that docs/operations.md tells for each kind."""
    name = request.param.partition(" ")[0]
    if request.param == "embedded":
        made = restored_by_flask(source, place / f"{name}.dump", running(place / name))
    else:
        made = restored_by_superuser(source, place / f"{name}.dump", running(place / name))
    yield made
    close(made.app)


def restored_by_flask(source: Place, file: Path, instance: Instance) -> Place:
    status, said = source.run("backup", str(file))
    assert status == 0, said
    fresh = embedded(instance)
    status, said = fresh.run("restore", str(file))
    assert (status, said) == (0, f"The database is as {file} has kept it.\n")
    return fresh


def restored_by_superuser(source: Place, file: Path, instance: Instance) -> Place:
    superuser = instance.urls("postgres")["superuser"]
    settings = {name.lower(): url for name, url in provision_given(superuser).items()}
    fresh = instance.urls(DATABASE)["superuser"]
    for name, options in COMMANDS:
        as_told(name, options, file, source.superuser if name == "pg_dump" else fresh)
    given = load_settings(env_file=None, secret_key=SECRET_KEY, instance_path=instance.path / "elsewhere", **settings)
    return Place(fresh, create_app(given))


def as_told(name: str, options: str, file: Path, url: str) -> None:
    """Run a line of docs/operations.md, with this file and this server in the place of those that it names."""
    told = [re.sub(r"/var/backups/[\w./-]+", str(file), word) for word in shlex.split(options)]
    program(name, [word for word in told if word not in (DATABASE, f"--dbname={DATABASE}")], url)


def test_the_page_tells_a_command_for_each_way() -> None:
    assert [name for name, _ in COMMANDS] == ["pg_dump", "pg_restore"]


# What comes back


def test_every_table_has_the_same_rows(source: Place, restored: Place) -> None:
    content = source.content()
    assert restored.content() == content
    assert min(count for count, _ in content.values()) > 0
    assert len(content) >= 14


def test_definitions_owners_grants_and_policies_are_the_same(source: Place, restored: Place) -> None:
    schema = source.schema()
    assert restored.schema() == schema
    assert "FORCE ROW LEVEL SECURITY" in schema
    assert "CREATE POLICY users_read" in schema
    assert "GRANT SELECT" in schema


@pytest.mark.parametrize("rule", RULES)
def test_the_restored_catalog_says_that(restored: Place, rule: str) -> None:
    assert {row[0] for row in restored.rows(RULES[rule].query)} == RULES[rule].only


def test_every_audit_log_is_whole_and_ends_where_it_ended(source: Place, restored: Place) -> None:
    status, said = restored.run("verify-audit")
    assert status == 0, said
    assert re.findall(r"^(\w+): (\d+) entries, whole$", said, flags=re.MULTILINE) == [
        ("acme", "6"),
        ("globex", "4"),
        ("hades", "0"),
        ("platform", "2"),
    ]
    heads = source.run("audit-head")
    assert restored.run("audit-head") == heads
    assert heads[1].count("\n") == 3


def test_the_doctor_finds_nothing_wrong(restored: Place) -> None:
    status, said = restored.run("doctor")
    assert status == 0, said
    assert "Nothing is wrong" in said


def test_a_person_signs_in_and_finds_what_was_written(restored: Place, cast: SimpleNamespace) -> None:
    page = Browser(restored.app).sign_in(cast.acme.admin).get("organizations.settings")
    assert "open always \\ sometimes" in page.form()["description"]
    assert "globex" not in page.text
    Browser(restored.app).sign_in(cast.platform.super).get("/")


def test_a_file_from_a_server_of_ones_own_comes_back_in_an_embedded_database(source: Place, place: Path, running: Any) -> None:
    own = restored_by_superuser(source, place / "moved.dump", running(place / "own"))
    (options,) = [options for name, options in COMMANDS if name == "pg_dump"]
    as_told("pg_dump", options, place / "back.dump", own.superuser)
    fresh = embedded(running(place / "back"))
    assert fresh.run("restore", str(place / "back.dump"))[0] == 0
    assert fresh.content() == source.content()
    assert fresh.run("doctor")[0] == 0
    for made in (own, fresh):
        close(made.app)


# Who may make one, and what is never overwritten


def test_a_dump_by_a_role_of_the_portal_is_refused_not_incomplete(source: Place, tmp_path: Path) -> None:
    settings: Settings = source.app.config["PORTAL"]
    for url in (settings.owner_database_url, settings.platform_database_url, settings.database_url, settings.worker_database_url):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            program("pg_dump", ["--format=custom", f"--file={tmp_path / 'dump'}"], url)
        assert re.search("affected by row-level security|permission denied", refused.value.stderr)


def test_a_backup_is_private_and_overwrites_nothing(source: Place, tmp_path: Path) -> None:
    file = tmp_path / "new.dump"
    assert source.run("backup", str(file))[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert source.run("backup", str(file)) == (1, f"{file} exists already; name another file.\n")
    assert file.read_bytes() == before
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "nowhere")
    assert source.run("backup", str(dangling))[0] == 1
    assert source.run("backup", str(tmp_path / "no" / "folder")) == (
        1, f"{tmp_path / 'no' / 'folder'} cannot be written (No such file or directory); name another file.\n",
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"new.dump", "link"}


def test_a_backup_that_fails_leaves_no_file(source: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "programs"
    failing.mkdir()
    for name, script in {"pg_dump": "echo half; echo 'pg_dump: error: the disk is gone' >&2; exit 1", "postgres": ""}.items():
        (failing / name).write_text(f"#!/bin/sh\n{script}\n")
        (failing / name).chmod(0o755)
    monkeypatch.setenv("PORTAL_PG_BIN", str(failing))
    assert source.run("backup", str(tmp_path / "new.dump")) == (1, "pg_dump did not succeed: error: the disk is gone\n")
    assert [path.name for path in tmp_path.iterdir()] == ["programs"]


def test_nothing_is_restored_over_what_is_there(source: Place, tmp_path: Path) -> None:
    file = tmp_path / "new.dump"
    assert source.run("backup", str(file))[0] == 0
    before = source.content()
    status, said = source.run("restore", str(file))
    assert status == 1
    assert "holds tables already, and none is overwritten" in said
    assert source.content() == before


def test_an_empty_instance_is_not_backed_up_and_takes_no_broken_file(place: Path, running: Any, source: Place, tmp_path: Path) -> None:
    fresh = embedded(running(place / "fresh"))
    status, said = fresh.run("backup", str(tmp_path / "new.dump"))
    assert status == 1
    assert f"The database in {place / 'fresh'} holds nothing yet" in said
    whole, cut = tmp_path / "whole.dump", tmp_path / "cut.dump"
    assert source.run("backup", str(whole))[0] == 0
    cut.write_bytes(whole.read_bytes()[:-2000])
    (tmp_path / "letter").write_text("dear")
    for file in (cut, tmp_path / "letter", tmp_path / "nowhere"):
        status, said = fresh.run("restore", str(file))
        assert status == 1, said
        assert said.count("\n") == 1
        assert fresh.rows(TABLES) == []
    assert fresh.run("restore", str(whole))[0] == 0
    close(fresh.app)


def test_on_a_server_of_ones_own_both_say_who_does_it(cluster: Any, database: str, tmp_path: Path) -> None:
    app = create_app(cluster.settings(database, tmp_path / "instance"))
    for command in ("backup", "restore"):
        done = app.test_cli_runner().invoke(args=[command, str(tmp_path / "new.dump")])
        assert done.exit_code == 1
        assert "docs/operations.md says how" in done.output
    assert not (tmp_path / "new.dump").exists()
    assert os.listdir(tmp_path) == ["instance"]
