"""Every way we know to reach another organization's rows in a table, and what no role may ever do."""

from collections.abc import Iterator
from typing import Any

from psycopg2.extras import Json

from tests.attack.furniture import TENANT_COLUMN
from tests.attack.roles import Role

Statement = tuple[str, dict[str, Any]]
COLUMNS = """
    SELECT attname, attnum = ANY (indkey), has_column_privilege(attrelid, attnum, 'SELECT'),
           has_column_privilege(attrelid, attnum, 'INSERT'), has_column_privilege(attrelid, attnum, 'UPDATE')
    FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indisprimary
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def attacks(role: Role, table: str, row: dict[str, Any]) -> Iterator[Statement]:
    """On the rows of the organization whose `row` this is. What returns rows returns first whose they are.

    A role without a right tries every column: the right itself must be missing then.
    """
    tenant, shown, every = names_in(role, table)
    yield from attacks_on_rows(table, tenant, shown, every, row[tenant])
    fresh = {name: value for name, value in FRESH.items() if name in row and name != tenant}
    for made in (row, {**row, **fresh}):
        yield from insertions(role, table, made)


def takeovers(role: Role, table: str, row: dict[str, Any], bound: Any) -> Iterator[Statement]:
    """The victim's row with the victim's ids, said to be the attacker's own."""
    yield from insertions(role, table, {**row, TENANT_COLUMN[table]: str(bound)})


def names_in(role: Role, table: str) -> tuple[str, str, list[str]]:
    """The column that tells whose a row is, the columns to show with that one first, and all columns."""
    columns, tenant = role.do(COLUMNS, [table]).rows, TENANT_COLUMN[table]
    every = [name for name, *_ in columns]
    return tenant, ", ".join([tenant, *([name for name, _, reads, *_ in columns if reads] or every)]), every


def insertions(role: Role, table: str, row: dict[str, Any]) -> Iterator[Statement]:
    columns, (_, shown, every) = role.do(COLUMNS, [table]).rows, names_in(role, table)
    key = ", ".join(name for name, is_key, *_ in columns if is_key)
    given, changed = ([column[0] for column in columns if column[right]] or every for right in (3, 4))
    insert = f"INSERT INTO {table} ({', '.join(given)}) SELECT {', '.join(given)} FROM jsonb_populate_record(NULL::{table}, %(row)s)"
    update = f"ON CONFLICT ({key}) DO UPDATE SET {changed[0]} = excluded.{changed[0]} RETURNING {shown}"
    for ending in ("", f"ON CONFLICT DO NOTHING RETURNING {shown}", update):
        yield f"{insert} {ending}", {"row": Json(row)}


FRESH = {"id": "00000000-0000-4000-8000-000000000000", "seq": 2, "key": "\\x00", "subdomain": "new", "email": "new", "username": "new"}


def attacks_on_rows(table: str, tenant: str, shown: str, every: list[str], victim: str) -> Iterator[Statement]:
    merge = f"MERGE INTO {table} USING (VALUES (1)) AS one ON true WHEN MATCHED THEN"
    for where in ("", f" WHERE {tenant} = %(victim)s"):
        yield f"SELECT {shown} FROM {table}{where}", {"victim": victim}
        yield f"SELECT {tenant} FROM {table}{where} FOR UPDATE", {"victim": victim}
        yield f"DELETE FROM {table}{where}", {"victim": victim}
        yield f"DELETE FROM {table}{where} RETURNING {shown}", {"victim": victim}
    for column in every:
        yield f"SELECT {tenant} FROM {table} WHERE CAST({column}::text AS int) > 0", {}  # an error would tell the value
        yield f"UPDATE {table} SET {column} = {column} RETURNING {shown}", {}
        yield f"UPDATE {table} SET {column} = DEFAULT", {}  # reads nothing, so that only the policy for UPDATE is asked
        yield f"{merge} UPDATE SET {column} = {column}", {}
    yield f"{merge} DELETE", {}


NEVER = (
    "SET ROLE portal_owner",
    "SET SESSION AUTHORIZATION portal_owner",
    "GRANT portal_owner TO CURRENT_USER",
    "GRANT SELECT ON refresh_tokens TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER SET app.tenant_id = ''",
    "CREATE ROLE another",
    "SET LOCAL row_security = off; SELECT id FROM tenants",
    "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE users OWNER TO CURRENT_USER",
    "CREATE POLICY another ON users USING (true)",
    "DROP POLICY users_read ON users",
    "ALTER FUNCTION app_tenant() RENAME TO nobody",
    "CREATE TABLE own (id int)",
    "CREATE TEMPORARY TABLE own (id int)",
    "CREATE SCHEMA own",
    "CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OPERATOR public.<<<<< (FUNCTION = uuid_eq, LEFTARG = uuid, RIGHTARG = uuid)",
    "CREATE TRIGGER own BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill_tenant_of_conversation()",
    "CREATE EXTENSION dblink",
    "TRUNCATE users",
    "TRUNCATE audit_entries",
    "COPY tenants (id) TO PROGRAM 'cat'",
    "COPY tenants (id) TO '/tmp/stolen'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_statistic",
    "UPDATE tenants SET subdomain = 'another'",
    "DELETE FROM tenants",
    "SELECT id FROM refresh_tokens",
    "UPDATE audit_entries SET action = 'nothing'",
    "DELETE FROM audit_entries",
)
