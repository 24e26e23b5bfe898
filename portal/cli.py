"""`flask …` commands for whoever operates the portal; what cannot be done is said in a sentence, with exit status 1."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import psycopg2
from flask import Flask
from flask.cli import with_appcontext
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from portal.errors import Refusal, faults_of
from portal.extensions import settings, transaction
from portal.system import ROOT, StartRefused


def init_app(app: Flask) -> None:
    for command in (provision, doctor, create_super_admin, load_catalogue, verify_audit, audit_head, backup, restore, send_test_mail):
        app.cli.add_command(command)
    app.cli.add_command(Migrations(app))


class Migrations(click.Command):
    """`flask db …` of Flask-Migrate, which is imported when it is asked for: Alembic comes along, and would take a third of a start."""

    def __init__(self, app: Flask) -> None:
        super().__init__("db", help="Bring the tables up to date, or back (run as portal_owner).")
        self.app = app

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        from flask_migrate import Migrate
        from flask_migrate.cli import db as commands

        from portal.extensions import db

        Migrate(self.app, db, directory=str(ROOT / "migrations"))
        return commands.make_context(*args, **kwargs)


def in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ValidationError as error:
            message = "\n".join(f"{location[0]}: {sentence}" for location, sentence in faults_of(error))
        except Refusal as refusal:
            message = " ".join(refusal.fields.values()) or refusal.message
        except (StartRefused, psycopg2.Error, DBAPIError) as error:
            message = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        click.echo(message, err=True)
        raise SystemExit(1)

    return told


@click.command("provision")
@click.argument("superuser_url")
@click.option("--rotate", is_flag=True, help="give the roles new passwords, although they exist")
@in_words
def provision(superuser_url: str, rotate: bool) -> None:
    """Make the portal's four database roles on a given server and print the settings."""
    from portal.config import new_secret
    from portal.database.provision import provision_given

    made = provision_given(superuser_url, rotate=rotate)
    if not made:
        click.echo("The roles exist already and keep their passwords; --rotate gives them new ones.", err=True)
        return
    for name, url in made.items():
        click.echo(f"{name}={url}")
    if not rotate:
        click.echo(f"SECRET_KEY={new_secret()}")


@click.command("doctor")
@with_appcontext
@in_words
def doctor() -> None:
    """Say what is wrong with the database, or that nothing is; exit 1 when something is."""
    from portal.database.health import examine

    faults = examine(settings())
    for fault in faults:
        click.echo(fault)
    if faults:
        raise SystemExit(1)
    click.echo("Nothing is wrong: the database answers, every role is bound by row level security, the migrations are done.")


@click.command("create-super-admin")
@click.option("--username", prompt=True)
@click.option("--email", prompt=True)
@click.option("--first-name", prompt=True)
@click.option("--last-name", prompt=True)
@click.option(
    "--password", prompt=True, hide_input=True, confirmation_prompt=True, help="asked for when not given: others can read a command line"
)
@with_appcontext
@in_words
def create_super_admin(**typed: str) -> None:
    """Make a super_admin in the reserved organization `platform`."""
    from portal.auth.services import sign_in_url
    from portal.database.cluster import database_running
    from portal.platform import services
    from portal.platform.commands import CreatePlatformAccount

    command = CreatePlatformAccount.model_validate(typed, context={"password_minimum": settings().password_min_length})
    with database_running(settings()), transaction():
        services.create_super_admin(command)
    click.echo(f"{command.username} is a super_admin. Sign in at {sign_in_url(services.PLATFORM)}")


@click.command("load-catalogue")
@with_appcontext
@in_words
def load_catalogue() -> None:
    """Bring in the free agents that the portal has; never overwrites one that a super_admin changed."""
    from contextlib import closing

    from portal.agents.shipped import load, shipped
    from portal.database import connect
    from portal.database.cluster import database_running

    with database_running(settings()), closing(connect(settings().platform_database_url)) as connection:
        changed = load(connection)
    click.echo(f"{changed} of {len(shipped())} free agents were loaded or follow a newer text.")


@click.command("verify-audit")
@with_appcontext
@in_words
def verify_audit() -> None:
    """Recompute the chain of every organization's audit log, and the lists of accounts that its entries prove; names the first broken
    entry, exit 1 when there is one."""
    from portal.audit import services
    from portal.bulk.lists import verify as verify_lists
    from portal.database import tenancy
    from portal.database.cluster import database_running

    with database_running(settings()), tenancy.bound(None, pool="platform"):
        chains, lists = list(services.verify()), list(verify_lists())
    for chain in chains:
        found = f"entry {chain.broken} is broken" if chain.broken else f"{chain.whole} entries, whole"
        click.echo(f"{chain.subdomain}: {found}")
    for proved in lists:
        if proved.broken:
            click.echo(f"{proved.subdomain}: the list of accounts that entry {proved.broken} proves is broken")
        else:
            click.echo(f"{proved.subdomain}: {proved.whole} lists of accounts changed at once, whole")
    if any((*(chain.broken for chain in chains), *(proved.broken for proved in lists))):
        raise SystemExit(1)


@click.command("audit-head")
@with_appcontext
@in_words
def audit_head() -> None:
    """Print number and hash of the newest entry of every organization's audit log, for keeping elsewhere."""
    from portal.audit import services
    from portal.database import tenancy
    from portal.database.cluster import database_running

    with database_running(settings()), tenancy.bound(None, pool="platform"):
        for subdomain, seq, hash_ in services.heads():
            click.echo(f"{subdomain} {seq} {hash_}")


FILE = click.Path(path_type=Path)


@click.command("backup")
@click.argument("file", type=FILE)
@with_appcontext
@in_words
def backup(file: Path) -> None:
    """Write the embedded database into a new file, also while the portal runs."""
    from portal.database.backup import back_up

    back_up(settings(), file)
    click.echo(f"The database is in {file}. Keep it elsewhere, and as safe as the database itself.")


@click.command("restore")
@click.argument("file", type=FILE)
@with_appcontext
@in_words
def restore(file: Path) -> None:
    """Read a file of `flask backup` into the embedded database of a fresh instance."""
    from portal.database import backup, health

    backup.restore(settings(), file)
    click.echo(f"The database is as {file} has kept it.")
    for fault in health.examine(settings()):
        click.echo(fault)


@click.command("send-test-mail")
@click.argument("address")
@with_appcontext
@in_words
def send_test_mail(address: str) -> None:
    """Send a mail to ADDRESS at once, and say what the mail server made of it; exit 1 when it did not take it."""
    from portal.mail import services

    click.echo(services.send_test(address))
