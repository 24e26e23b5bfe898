"""Runs the revisions as portal_owner, each in a transaction of its own.

Two ways lead here: `flask db …`, and alembic's command API without a Flask app (portal/serve.py, the tests), where
`config.attributes["url"]` names the database, `["metadata"]` the models when they are to be compared, and `["patience"]` how long a
revision waits for a table (10s).
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url, pool, text
from sqlalchemy.exc import OperationalError

PORTAL = Path(__file__).resolve().parents[1] / "portal"
OWNER = "portal_owner"
LOCK_NOT_AVAILABLE = "55P03"
ONE_AT_A_TIME = 0x7468616E6F746F  # any number, as long as every migrating process asks for the same one

config = context.config
given_url = config.attributes.get("url")


def database_url() -> str:
    """What `config.attributes` names, else the environment, else the app that runs the command."""
    url = given_url or os.environ.get("OWNER_DATABASE_URL")
    if not url:
        from flask import current_app, has_app_context

        url = current_app.config.get("OWNER_DATABASE_URL") if has_app_context() else None
    if not url:
        raise CommandError(f"OWNER_DATABASE_URL is missing: revisions run as {OWNER}. `flask provision` prints it.")
    return str(url)


def models() -> MetaData | None:
    """The tables of the models; left out where only a URL was handed over, because running revisions needs none."""
    if given_url:
        return config.attributes.get("metadata")
    for path in sorted(PORTAL.glob("*/models.py")):
        importlib.import_module(f"portal.{path.parent.name}.models")
    from portal.extensions import db

    return db.metadata


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Leave out the tables of the legacy neighbours, and indexes over expressions, which Alembic cannot compare; a test does."""
    if kind == "index" and ((name or "").startswith("users_by_") or name == "agents_by_grams"):
        return False
    return kind != "table" or (target is not None and name in target.tables)


def stamp_new_revisions(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """A new revision is known by its time, as its file is; none is written when the models say nothing new."""
    script = directives[0]
    if getattr(config.cmd_opts, "autogenerate", False) and script.upgrade_ops.is_empty():
        directives.clear()
    else:
        script.rev_id = f"{datetime.now(UTC):%Y%m%d_%H%M}"


def say(*_: Any, **told: Any) -> None:
    """Tell the person at the command line what was done; whoever hands over a URL has a voice of his own."""
    step = told["step"]
    done = "stamped" if step.is_stamp else "upgraded" if step.is_upgrade else "downgraded"
    for script in filter(None, step.up_revisions):
        config.print_stdout("%s: %s (%s)", done, script.doc, script.revision)


def check_role(connection: Connection) -> None:
    user = connection.scalar(text("SELECT current_user"))
    connection.rollback()
    if user != OWNER:
        raise CommandError(f"Revisions run as {OWNER}, not as {user}: what they make belongs to it. Set OWNER_DATABASE_URL.")


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Wait for another migrating process. The lock is that of an open transaction: a pooler may keep a session that has ended."""
    with engine.connect() as waiting:
        waiting.execute(text("SET LOCAL lock_timeout = '5min'; SET LOCAL idle_in_transaction_session_timeout = 0"))
        waiting.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        yield


def be_patient(connection: Connection) -> None:
    """At the begin of every transaction: take the time it needs, but never stand in a queue that stops everybody else."""
    limits = "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', :patience, true)"
    connection.execute(text(limits), {"patience": config.attributes.get("patience", "10s")})


def answering() -> AbstractContextManager[None]:
    """For `flask db …`: the embedded database, where the app means it, runs for as long as it is needed."""
    if given_url or os.environ.get("OWNER_DATABASE_URL"):
        return nullcontext()
    from flask import current_app, has_app_context

    if not has_app_context():
        return nullcontext()
    from portal.database.cluster import database_running

    return database_running(current_app.config["PORTAL"])


def run() -> None:
    engine = create_engine(make_url(database_url()).set(drivername="postgresql+psycopg2"), poolclass=pool.NullPool)
    event.listen(engine, "begin", be_patient)
    with engine.connect() as connection:
        check_role(connection)
        with alone(engine):
            migrate(connection)


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=target,
        version_table="portal_alembic_version",
        transaction_per_migration=True,
        include_name=is_ours,
        include_object=lambda _thing, name, kind, *_: is_ours(name, kind, None),
        compare_type=True,
        compare_server_default=True,
        process_revision_directives=stamp_new_revisions,
        on_version_apply=None if given_url else say,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise CommandError("Another program holds a table that must be changed. This revision was not done; try again.") from error


if context.is_offline_mode():
    raise CommandError("Revisions look at the rows they change, so they cannot be written out as SQL. Run them on the database.")
target = models()
with answering():
    run()
