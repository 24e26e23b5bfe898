"""`flask …` commands for whoever operates the portal."""

import click
from flask import Flask
from flask.cli import with_appcontext

from portal.extensions import settings


def init_app(app: Flask) -> None:
    app.cli.add_command(provision)
    app.cli.add_command(doctor)
    app.cli.add_command(create_super_admin)


@click.command("provision")
@click.argument("superuser_url")
def provision(superuser_url: str) -> None:
    """Make the portal's four database roles on a given server and print the settings."""
    from portal.database.provision import provision_given

    for name, url in provision_given(superuser_url).items():
        click.echo(f"{name}={url}")


@click.command("doctor")
@with_appcontext
def doctor() -> None:
    """Say what is wrong with the database, or that nothing is; exit 1 when something is."""
    from portal.database.cluster import database_running
    from portal.database.health import examine

    with database_running(settings()):
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
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="asked for when not given; better not given on a command line")
@with_appcontext
def create_super_admin(username: str, email: str, first_name: str, last_name: str, password: str) -> None:
    """Make a super_admin in the reserved organization `platform`."""
    from pydantic import ValidationError

    from portal.database.cluster import database_running
    from portal.errors import Refusal
    from portal.platform.commands import CreatePlatformAccount
    from portal.platform.services import create_super_admin as create

    try:
        command = CreatePlatformAccount.model_validate(
            {"username": username, "email": email, "first_name": first_name, "last_name": last_name, "password": password},
            context={"password_minimum": settings().password_min_length},
        )
        with database_running(settings()):
            create(command)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            click.echo(f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}", err=True)
        raise SystemExit(1) from None
    except Refusal as refusal:
        click.echo(" ".join([refusal.message, *refusal.fields.values()]), err=True)
        raise SystemExit(1) from None
    click.echo(f"{command.username} is a super_admin. Sign in at {settings().public_url}/sign-in?organization=platform")
