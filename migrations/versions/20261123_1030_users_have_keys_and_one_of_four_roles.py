"""Users have keys and one of four roles

`email_key` and `username_key` say who is the same person to sign in as, `sort_key` where a name stands in a list. Of twins, rows
whose keys are equal, the oldest has the key and the others have none. A legacy `admin` or `super_admin` ruled the own
organization, so both become `org_admin`; whoever had another role, or none, is a `user`.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any

from alembic import op
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Column, MetaData, Row, Table, Text, Uuid, text

revision = "20261123_1030"
down_revision = "20261123_1020"

BATCH = 5_000
LONGEST_EMAIL, LONGEST_USERNAME, LONGEST_SORT_KEY = 254, 1_000, 200
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
INDIC_AND_KANA_MARKS = {0, 7, 8, 9}
UNDECOMPOSED = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
        "ı": "i",
        "ħ": "h",
        "ŧ": "t",
        "ŋ": "n",
    }
)
# Not a temporary table: portal_owner need not be allowed to make any.
KEYS = Table(
    "portal_keys_of_users",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("email_key", Text),
    Column("username_key", Text),
    Column("sort_key", Text),
)
# lower() in the "C" collation, because a Turkish database makes another letter of I
ROLE = r"""
    CASE WHEN lower(btrim(role, E' \t\r\n') COLLATE "C") IN ('org_admin', 'admin', 'super_admin') THEN 'org_admin' ELSE 'user' END"""
RANKED = """
    SELECT users.id, users.tenant_id, users.email, users.username, keys.email_key, keys.username_key, keys.sort_key,
        row_number() OVER (PARTITION BY tenant_id, keys.email_key ORDER BY created_at NULLS LAST, users.id) AS email_place,
        row_number() OVER (PARTITION BY tenant_id, keys.username_key ORDER BY created_at NULLS LAST, users.id) AS username_place
    FROM users JOIN portal_keys_of_users AS keys ON keys.id = users.id"""


def upgrade() -> None:
    op.execute("""
        ALTER TABLE users
            ADD COLUMN email_key text,
            ADD COLUMN username_key text,
            ADD COLUMN sort_key text COLLATE "C",
            ADD COLUMN last_sign_in_at timestamptz,
            ADD COLUMN auth_epoch integer NOT NULL DEFAULT 0,
            ADD COLUMN version integer NOT NULL DEFAULT 1""")
    note_what_changes()
    work_out_keys()
    note_missing_keys("email", "This is no e-mail address.")
    note_missing_keys("username", "This is no username.")
    op.execute(f"""
        UPDATE users SET
            role = {ROLE},
            is_active = coalesce(is_active, false),
            is_verified = coalesce(is_verified, false),
            email_key = CASE WHEN email_place = 1 THEN ranked.email_key END,
            username_key = CASE WHEN username_place = 1 THEN ranked.username_key END,
            sort_key = ranked.sort_key
        FROM ({RANKED}) AS ranked WHERE ranked.id = users.id""")
    op.execute("""
        DROP TABLE portal_keys_of_users;
        ALTER TABLE users
            ALTER COLUMN role SET NOT NULL, ALTER COLUMN role SET DEFAULT 'user',
            ALTER COLUMN is_active SET NOT NULL, ALTER COLUMN is_active SET DEFAULT true,
            ALTER COLUMN is_verified SET NOT NULL, ALTER COLUMN is_verified SET DEFAULT false,
            ADD CONSTRAINT users_role_known CHECK (role IN ('user', 'org_admin', 'admin', 'super_admin')),
            ADD CONSTRAINT users_tenant_id_id_key UNIQUE (tenant_id, id),
            ADD CONSTRAINT users_tenant_id_email_key_key UNIQUE (tenant_id, email_key),
            ADD CONSTRAINT users_tenant_id_username_key_key UNIQUE (tenant_id, username_key)""")


def note_what_changes() -> None:
    op.execute(f"""
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'users', id, 'role', to_jsonb(role), to_jsonb({ROLE}),
            CASE WHEN {ROLE} = 'org_admin' THEN 'This role ruled the own organization, which an org_admin does now.'
                ELSE 'This was none of the four roles.' END
        FROM users WHERE role IS DISTINCT FROM {ROLE};
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'users', id, 'is_active', NULL, 'false', 'Not known to be active counted as inactive.'
        FROM users WHERE is_active IS NULL;
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'users', id, 'is_verified', NULL, 'false', 'Not known to be verified is not verified.'
        FROM users WHERE is_verified IS NULL""")


def work_out_keys() -> None:
    """Fill the table of keys, batch by batch: memory does not grow with the number of users."""
    connection = op.get_bind()
    op.execute("""
        CREATE UNLOGGED TABLE portal_keys_of_users (id uuid PRIMARY KEY, email_key text, username_key text, sort_key text)""")
    users = connection.execute(
        text("SELECT id, email, username, first_name, last_name FROM users"),
        execution_options={"stream_results": True, "max_row_buffer": BATCH},
    )
    for batch in users.partitions(BATCH):
        connection.execute(KEYS.insert(), keys_of(batch))
    op.execute("ANALYZE portal_keys_of_users")


def keys_of(users: Iterable[Row[Any]]) -> list[dict[str, object]]:
    return [
        {
            "id": user.id,
            "email_key": email_key(user.email),
            "username_key": username_key(user.username),
            "sort_key": sort_key(" ".join(filter(None, (user.last_name, user.first_name))).strip() or user.username),
        }
        for user in users
    ]


# How the keys were made when this revision was written; the portal's own way may move on, and a later revision with it.


def email_key(typed: str) -> str | None:
    """lower(local)@idna-domain; None where this is no address."""
    line = " ".join(unicodedata.normalize("NFC", typed[: 4 * LONGEST_EMAIL]).split())
    if len(line) > LONGEST_EMAIL or any(is_unseen(sign) for sign in line):
        return None
    try:
        address = validate_email(line, check_deliverability=False)
    except EmailNotValidError:
        return None
    return f"{unicodedata.normalize('NFC', address.local_part.lower())}@{str(address.ascii_domain).lower()}"


def username_key(typed: str) -> str | None:
    if len(typed) > LONGEST_USERNAME:
        return None
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold()).strip() or None


def sort_key(typed: str) -> str:
    cut = typed[:LONGEST_SORT_KEY]
    if cut.isascii() and cut.isprintable():
        return " ".join(cut.lower().split())
    seen = "".join(" " if sign.isspace() else sign for sign in cut if sign.isspace() or not is_unseen(sign))
    return " ".join(without_accents(seen).split())[:LONGEST_SORT_KEY]


def without_accents(typed: str) -> str:
    parts = unicodedata.normalize("NFKD", typed.casefold()).casefold()
    plain = "".join(sign for sign in parts if unicodedata.combining(sign) in INDIC_AND_KANA_MARKS)
    return unicodedata.normalize("NFC", plain.translate(UNDECOMPOSED))


def is_unseen(sign: str) -> bool:
    tag = "\U000e0000" <= sign <= "\U000e007f"
    broken = sign == "\ufffd" or "\ufdd0" <= sign <= "\ufdef" or ord(sign) & 0xFFFE == 0xFFFE
    return unicodedata.category(sign) in {"Cc", "Cf"} or sign in BLANK_LETTERS or tag or broken


def note_missing_keys(what: str, reason: str) -> None:
    op.execute(f"""
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'users', id, '{what}_key', to_jsonb({what}), NULL,
            CASE WHEN {what}_key IS NULL THEN '{reason}' ELSE 'An older account of this organization differs from it by spelling only.' END
        FROM ({RANKED}) AS ranked WHERE {what}_key IS NULL OR {what}_place > 1""")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE users
            DROP CONSTRAINT users_role_known,
            DROP CONSTRAINT users_tenant_id_id_key,
            DROP CONSTRAINT users_tenant_id_email_key_key,
            DROP CONSTRAINT users_tenant_id_username_key_key,
            DROP COLUMN email_key,
            DROP COLUMN username_key,
            DROP COLUMN sort_key,
            DROP COLUMN last_sign_in_at,
            DROP COLUMN auth_epoch,
            DROP COLUMN version,
            ALTER COLUMN role DROP NOT NULL, ALTER COLUMN role DROP DEFAULT,
            ALTER COLUMN is_active DROP NOT NULL, ALTER COLUMN is_active DROP DEFAULT,
            ALTER COLUMN is_verified DROP NOT NULL, ALTER COLUMN is_verified DROP DEFAULT""")
    for column, old in (("role", "note.old_value #>> '{}'"), ("is_active", "NULL"), ("is_verified", "NULL")):
        # only what still is as the upgrade left it: a role taken away since does not come back
        op.execute(f"""
            UPDATE users SET {column} = {old}
            FROM legacy_notes AS note
            WHERE note.table_name = 'users' AND note.column_name = '{column}' AND note.row_id = users.id
                AND to_jsonb(users.{column}) = note.new_value""")
    op.execute("""
        DELETE FROM legacy_notes
        WHERE table_name = 'users' AND column_name IN ('role', 'is_active', 'is_verified', 'email_key', 'username_key')""")
