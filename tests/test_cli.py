"""The commands of whoever operates the portal."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from flask import Flask

from portal import create_app
from portal.database import connect
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD

SUPER = ["create-super-admin", "--first-name", "Ines", "--last-name", "Okafor", "--email", "Ines@Portal.example.org", "--username", "ines"]


def test_the_first_super_admin_is_made_by_the_command_line_and_signs_in(app: Flask, owner: Any) -> None:
    owner.execute("TRUNCATE tenants CASCADE")
    done = app.test_cli_runner().invoke(args=[*SUPER, "--password", PASSWORD])
    assert done.exit_code == 0, done.output
    assert "/sign-in?organization=platform" in done.output
    assert PASSWORD not in done.output
    owner.execute("SELECT t.subdomain, u.role, u.email_key FROM users u JOIN tenants t ON t.id = u.tenant_id")
    assert owner.fetchall() == [("platform", "super_admin", "ines@portal.example.org")]
    owner.execute("SELECT action FROM audit_entries")
    assert owner.fetchall() == [("platform_account_created",)]
    Browser(app).sign_in(SimpleNamespace(subdomain="platform", email="ines", password=PASSWORD))


def test_a_second_one_of_the_same_name_is_refused_in_words(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    arguments = [*SUPER[:-1], "super", "--password", PASSWORD]
    refused = app.test_cli_runner().invoke(args=arguments)
    assert refused.exit_code == 1
    assert "is taken" in refused.output
    owner.execute("SELECT count(*) FROM users WHERE username = 'super'")
    assert owner.fetchone() == (1,)


def test_what_is_typed_wrongly_is_named(app: Flask, cast: SimpleNamespace) -> None:
    refused = app.test_cli_runner().invoke(args=["create-super-admin", "--first-name", "I", "--last-name", "O", "--email", "nobody", "--username", "a b", "--password", "short"])  # fmt: skip
    assert refused.exit_code == 1
    for field in ("email: ", "username: ", "password: "):
        assert field in refused.output


def test_doctor_finds_nothing_wrong_here_and_says_so(app: Flask, cast: SimpleNamespace) -> None:
    said = app.test_cli_runner().invoke(args=["doctor"])
    assert (said.exit_code, "Nothing is wrong" in said.output) == (0, True)


def test_doctor_names_a_role_that_row_level_security_does_not_bind(
    cluster: Any, database: str, tmp_path: Any, cast: SimpleNamespace
) -> None:
    app = create_app(cluster.settings(database, tmp_path, database_url=cluster.superuser_url(database)))
    said = app.test_cli_runner().invoke(args=["doctor"])
    assert said.exit_code == 1
    assert "superuser" in said.output


def test_a_database_that_is_away_is_said_in_a_sentence(cluster: Any, tmp_path: Any) -> None:
    app = create_app(cluster.settings("nowhere", tmp_path))
    for arguments in (["doctor"], [*SUPER, "--password", PASSWORD], ["provision", "postgresql://nobody@127.0.0.1:1/none"]):
        said = app.test_cli_runner().invoke(args=arguments)
        assert said.exit_code == 1
        assert "Traceback" not in said.output
        assert said.output.strip().count("\n") <= 3


def test_provisioning_again_says_that_the_roles_keep_their_passwords(app: Flask, cluster: Any, cast: SimpleNamespace) -> None:
    said = app.test_cli_runner().invoke(args=["provision", cluster.superuser_url("portal_again")])
    assert said.exit_code == 0, said.output
    assert "--rotate" in said.output
    cluster.drop_database("portal_again")


def test_revisions_are_run_by_the_command_line(cluster: Any, tmp_path: Any) -> None:
    cluster.create_database("portal_by_hand")
    try:
        app = create_app(cluster.settings("portal_by_hand", tmp_path))
        first, second = "20261123_1000", "20261123_1010"
        for arguments, stands in ((["upgrade", second], second), (["downgrade", first], first), (["stamp", second], second)):
            done = app.test_cli_runner().invoke(args=["db", *arguments])
            assert done.exit_code == 0, done.output
            assert revision(cluster, "portal_by_hand") == stands
    finally:
        cluster.drop_database("portal_by_hand")


def revision(cluster: Any, database: str) -> str:
    connection = connect(cluster.urls(database)["owner"])
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM portal_alembic_version")
        found = cursor.fetchone()[0]
    connection.close()
    return str(found)


def test_alembic_is_not_loaded_by_what_only_serves() -> None:
    looked = "import sys, portal.cli, flask; portal.cli.init_app(flask.Flask('x')); print('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True).stdout == "False\n"
