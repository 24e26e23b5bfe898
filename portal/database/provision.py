"""The roles of the portal in a PostgreSQL server, what each may do, and the time each gets."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import encrypt_password, parse_dsn

from portal.config import new_secret
from portal.database import libpq_url

OWNER, APP, PLATFORM, WORKER = ROLES = ("portal_owner", "portal_app", "portal_platform", "portal_worker")
SETTINGS = {
    "DATABASE_URL": APP,
    "OWNER_DATABASE_URL": OWNER,
    "PLATFORM_DATABASE_URL": PLATFORM,
    "WORKER_DATABASE_URL": WORKER,
}
TIME_LIMITS = {"statement_timeout": "5s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "10s"}
ONE_AT_A_TIME = 0x70726F76  # any number, as long as everybody who provisions asks for the same one
MAINTENANCE = {"postgres", "template1", ""}
ATTRIBUTES = """
    SELECT rolcanlogin, rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication
    FROM pg_roles WHERE rolname = %s
"""
NEIGHBOURS = """
    SELECT DISTINCT rolname FROM pg_class, LATERAL aclexplode(coalesce(relacl, acldefault('r', relowner))) AS given
    JOIN pg_roles ON pg_roles.oid = given.grantee
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT rolsuper AND rolname <> ALL (%s)
"""


def provision(superuser_url: str, passwords: dict[str, str], database: str) -> None:
    """Bring roles, rights and time limits of `database` to what the portal needs; made where it is missing, safe to repeat.

    `passwords` maps roles to the passwords they have afterwards; a role that is not in it keeps its own, and must exist.
    Raises `psycopg2.Error`.
    """
    with _connected(superuser_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ONE_AT_A_TIME])  # two at once would change the same rows of the catalog
        for role in ROLES:
            _provide_role(cursor, role, passwords.get(role))
        cursor.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(WORKER)))
        _provide_database(cursor, connection.server_version, database)
        with _connected(superuser_url, database) as inside, inside.cursor() as rights:
            for statement in [*_rights_of_neighbours(rights), *_rights()]:
                rights.execute(sql.SQL(statement).format(database=sql.Identifier(database)))


def provision_given(superuser_url: str, *, rotate: bool = False) -> dict[str, str]:
    """Provision a given server; returns the settings by name (DATABASE_URL and its sisters) of the roles that got a password.

    New roles get one. Roles that exist keep theirs, and have no setting in the answer, unless `rotate` gives all of them new ones:
    then a running portal must be started again with the new settings. The database is the one the address names,
    or `thanotopolis` where it names none or only `postgres`.
    """
    given = parse_dsn(libpq_url(superuser_url))
    database = given.get("dbname", "")
    if database in MAINTENANCE:
        database = "thanotopolis"
    known = set() if rotate else _known_roles(superuser_url)
    passwords = {role: new_secret() for role in ROLES if role not in known}
    provision(superuser_url, passwords, database)
    return {name: _address(given, role, passwords[role], database) for name, role in SETTINGS.items() if role in passwords}


def _known_roles(superuser_url: str) -> set[str]:
    with _connected(superuser_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [list(ROLES)])
        return {name for (name,) in cursor.fetchall()}


def _provide_role(cursor: Any, role: str, password: str | None) -> None:
    name = sql.Identifier(role)
    cursor.execute(ATTRIBUTES, [role])
    logs_in, too_mighty = cursor.fetchone() or (None, False)
    if logs_in is None:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    elif too_mighty or not logs_in:
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION").format(name))
    if password:  # sent as its verifier: a server's log may hold statements
        verifier = encrypt_password(password, role, scope=cursor.connection, algorithm="scram-sha-256")
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))
    for limit, value in {} if role == OWNER else TIME_LIMITS.items():
        cursor.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(limit), sql.Literal(value)))


def _provide_database(cursor: Any, version: int, database: str) -> None:
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", [database])
    if cursor.rowcount:
        return
    builtin = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" if version >= 170000 else ""
    make = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' " + builtin
    cursor.execute(sql.SQL(make).format(sql.Identifier(database)))


def _rights() -> Iterator[str]:
    """Statements about the database and its schema; rights on tables are given by the migrations, table by table."""
    everybody = ", ".join(ROLES)
    yield "REVOKE ALL ON DATABASE {database} FROM PUBLIC"
    yield f"GRANT CONNECT ON DATABASE {{database}} TO {everybody}"
    yield "REVOKE ALL ON SCHEMA public FROM PUBLIC"
    yield f"ALTER SCHEMA public OWNER TO {OWNER}"
    yield f"REVOKE ALL ON SCHEMA public FROM {APP}, {PLATFORM}, {WORKER}"
    yield f"GRANT USAGE ON SCHEMA public TO {everybody}"
    yield f"GRANT CREATE ON SCHEMA public TO {OWNER}"


def _rights_of_neighbours(cursor: Any) -> list[str]:
    """Who owns or may use a table of this database, besides the portal, keeps the way to it that everybody is about to lose."""
    cursor.execute(NEIGHBOURS, [list(ROLES)])
    names = [sql.Identifier(name).as_string(cursor).replace("{", "{{").replace("}", "}}") for (name,) in cursor.fetchall()]
    return [f"{right} TO {name}" for name in names for right in ("GRANT CONNECT ON DATABASE {database}", "GRANT USAGE ON SCHEMA public")]


@contextlib.contextmanager
def _connected(url: str, database: str | None = None) -> Iterator[Connection]:
    """A connection to the server as superuser, to `database` or the one that the address names; every statement stands for itself."""
    given = parse_dsn(libpq_url(url))
    name = database or (given["dbname"] if given.get("dbname") in MAINTENANCE - {""} else "postgres")
    connection = psycopg2.connect(**{**given, "dbname": name})
    connection.autocommit = True
    with contextlib.closing(connection):
        yield connection


def _address(given: dict[str, str], role: str, password: str, database: str) -> str:
    """The address of `database` for `role` on the same server as the superuser's; options such as sslmode are kept."""
    host, port = given.get("host", ""), given.get("port", "")
    options = {name: value for name, value in given.items() if name not in {"user", "password", "dbname", "host", "port"}}
    if host.startswith("/") or "," in host:
        options |= {"host": host} | ({"port": port} if port else {})
        host = port = ""
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in options.items())
    return f"postgresql://{role}:{quote(password, safe='')}@{place}/{quote(database, safe='')}" + (f"?{query}" if query else "")
