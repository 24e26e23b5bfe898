"""Whether a database may be served on: roles that row level security binds, tables that it guards, migrations at head."""

import ast
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import parse_dsn

from portal.config import Settings
from portal.database import libpq_url
from portal.database.cluster import database_running
from portal.system import ROOT, StartRefused

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

VERSIONS = ROOT / "migrations" / "versions"
VERSION_TABLE = "portal_alembic_version"
WITHOUT_RLS = ["rate_limits", VERSION_TABLE]  # no tenant's data

# Whoever may become one of these sees more than the own policies let pass, without SET ROLE already.
MIGHTIER = [
    *("portal_owner", "portal_app", "portal_platform", "portal_worker", "pg_read_all_data", "pg_write_all_data"),
    *("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"),
]
ROLE = """
SELECT current_user, rolsuper, rolbypassrls,
       ARRAY (SELECT other.rolname::text FROM pg_roles AS other
              WHERE other.rolname <> current_user AND pg_has_role(current_user, other.oid, 'MEMBER')
              AND (other.rolsuper OR other.rolbypassrls OR other.rolname = ANY (%s)) ORDER BY other.rolname),
       ARRAY (SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
              AND pg_has_role(current_user, relowner, 'MEMBER') ORDER BY relname)
FROM pg_roles WHERE rolname = current_user
"""
OPEN_TABLES = """
SELECT relname, relrowsecurity FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE CASE WHEN relkind IN ('r', 'p') THEN NOT (relrowsecurity AND relforcerowsecurity)
           WHEN relkind = 'v' THEN NOT coalesce('security_invoker=true' = ANY (reloptions), false)
           ELSE relkind IN ('m', 'f') END
  AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%%' AND relname <> ALL (%s)
  AND (has_any_column_privilege(pg_class.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
       OR has_table_privilege(pg_class.oid, 'DELETE, TRUNCATE, TRIGGER'))
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
"""


def faults(connection: Any) -> list[str]:
    """What forbids serving on this connection (DBAPI, as the role that is to serve): a sentence each, none when all is well."""
    with connection.cursor() as cursor:
        found = _faults_of_role(cursor)
        if not found:  # a role that is bound by nothing would make every table look open
            cursor.execute(OPEN_TABLES, [WITHOUT_RLS])
            found = [_fault_of_table(table, enabled) for table, enabled in cursor.fetchall()]
    connection.rollback()
    return found


def examine(settings: Settings) -> list[str]:
    """Everything that is wrong with the databases of these settings: a sentence each, none when all is well."""
    urls = [settings.database_url, settings.platform_database_url, settings.worker_database_url]
    with database_running(settings):
        found = [fault for url in urls for fault in examine_address(url)]
    return list(dict.fromkeys(found))


def examine_address(url: str) -> list[str]:
    """What is wrong with serving at this address: not reachable, a role that is not bound, open tables, pending migrations."""
    if refusal := reachable(url):
        return [refusal]
    with closing(psycopg2.connect(libpq_url(url))) as connection:
        pending = migrations_pending(connection)
        return faults(connection) + ([pending] if pending else [])


def guard_connections(engine: "Engine", role: str | None = None) -> None:
    """Refuse, with `StartRefused`, every new connection of the engine whose role row level security would not bind, or is not `role`."""
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def refuse_unbound(connection: Any, _record: Any) -> None:
        demand_role(connection, role)


def demand_role(connection: Any, role: str | None = None) -> None:
    """Raises `StartRefused` where row level security would not bind the connection's role, or it is not `role`."""
    with connection.cursor() as cursor:
        found = _faults_of_role(cursor) or _fault_of_place(cursor, role)
    connection.rollback()
    if found:
        raise StartRefused(found[0])


def reachable(url: str, seconds: int = 5) -> str | None:
    """None when the database answers at this address, else a sentence that says why not, without the password."""
    try:
        psycopg2.connect(**_with_timeout(url, seconds)).close()
    except psycopg2.Error as error:
        return f"The database at {place(url)} cannot be used: {_reason(error, url)}."
    return None


def place(url: str) -> str:
    """Role, server and database of an address, for people: never the password."""
    try:
        given = parse_dsn(libpq_url(url))
    except psycopg2.Error:
        return "an address that cannot be read"
    host = given.get("host", "localhost")
    return f"{given.get('user', '')}@{host}{':' + given['port'] if 'port' in given else ''}/{given.get('dbname', '')}"


def migrations_pending(connection: Any, root: Path = ROOT) -> str | None:
    """None when the database is at the newest revision of `root`/migrations/versions, else a sentence (DBAPI connection)."""
    folder = root / "migrations" / "versions"
    wanted, found = heads(folder), current(connection)
    if found == wanted:
        return None
    if not found:
        return "The database has no tables of the portal yet; run `flask db upgrade`."
    at = f"The database is at revision {', '.join(sorted(found))}"
    if found - set(_revisions(folder)):
        return f"{at}, which this version of the portal does not know; install the newer one."
    return f"{at}, but this version of the portal needs {', '.join(sorted(wanted))}; run `flask db upgrade`."


def current(connection: Any) -> frozenset[str]:
    """The revisions that the database is at; none before the first migration."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.{VERSION_TABLE}"])
            if not cursor.fetchone()[0]:
                return frozenset()
            cursor.execute(f"SELECT version_num FROM public.{VERSION_TABLE}")
            return frozenset(revision for (revision,) in cursor.fetchall())
    finally:
        connection.rollback()


def heads(folder: Path = VERSIONS) -> frozenset[str]:
    """The revisions that no other follows, read from the files: Alembic itself takes half a second to import."""
    followed = _revisions(folder)
    return frozenset(followed) - {before for befores in followed.values() for before in befores}


@lru_cache
def _revisions(folder: Path) -> dict[str, tuple[str, ...]]:
    """Each revision with those it comes after."""
    known = {}
    for path in folder.glob("*.py"):
        said = _assigned(ast.parse(path.read_text(encoding="utf-8")))
        if "revision" in said:
            before = said.get("down_revision") or ()
            known[str(said["revision"])] = (before,) if isinstance(before, str) else tuple(before)
    return known


def _assigned(module: ast.Module) -> dict[str, Any]:
    """What the module's top level assigns to the names that order revisions."""
    said: dict[str, Any] = {}
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                said[target.id] = ast.literal_eval(node.value)
    return said


def _faults_of_role(cursor: Any) -> list[str]:
    cursor.execute(ROLE, [MIGHTIER])
    role, superuser, bypasses, others, owned = cursor.fetchone()
    serve = "serve as the roles that `flask provision` makes"
    if superuser:
        return [f"The database role {role} is a superuser, which row level security does not bind; {serve}."]
    if bypasses:
        return [f"The database role {role} has BYPASSRLS, so that it would see every organization; {serve}."]
    if others:
        return [f"The database role {role} may act as {others[0]}, which sees more than it should; {serve}."]
    if owned:
        return [f"The database role {role} owns the table {owned[0]} and could lift its row level security; {serve}."]
    return []


def _fault_of_place(cursor: Any, wanted: str | None) -> list[str]:
    cursor.execute("SELECT current_user")
    (role,) = cursor.fetchone()
    if wanted in (None, role):
        return []
    return [f"The database role {role} stands where {wanted} should; the addresses of the database may have changed places."]


def _fault_of_table(table: str, enabled: bool) -> str:
    lack = "forces no row level security upon its owner" if enabled else "has no row level security"
    return f"The table {table} {lack}, but is open to the portal; run `flask db upgrade`, or revoke the rights on it."


def _with_timeout(url: str, seconds: int) -> dict[str, Any]:
    return {"connect_timeout": seconds, **parse_dsn(libpq_url(url))}


def _reason(error: psycopg2.Error, url: str) -> str:
    """The first line of what the driver says, without the password."""
    text = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
    try:
        password = parse_dsn(libpq_url(url)).get("password")
    except psycopg2.Error:
        return "it is no PostgreSQL address"
    return text.replace(password, "…") if password else text
