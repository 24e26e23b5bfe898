"""Organizations tell more about themselves

Subdomains get the form of a host name. Of two that differ by upper and lower case only, the older organization keeps the plain
name; the younger one, and whatever has no such form, gets a name made from what was typed. `platform` is kept for the portal.
"""

import re
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from alembic import op
from sqlalchemy import Row, text

revision = "20261123_1020"
down_revision = "20261123_1010"

WELL_FORMED = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
KEPT_FOR_THE_PORTAL = {"platform"}
REASONS = {
    "twin": "Another organization had this subdomain first, in other letters.",
    "form": "This was no name that a host can have.",
    "case": "Host names do not tell upper from lower case.",
    "platform": "This name belongs to the portal itself.",
}


def upgrade() -> None:
    op.execute("""
        ALTER TABLE tenants
            ADD COLUMN full_name text,
            ADD COLUMN address jsonb,
            ADD COLUMN phone text,
            ADD COLUMN organization_email text,
            ADD COLUMN description text,
            ADD COLUMN version integer NOT NULL DEFAULT 1,
            ALTER COLUMN access_code DROP NOT NULL""")
    decide_activity()
    rename_subdomains()


def decide_activity() -> None:
    """NULL counted as inactive in the legacy system; now it says so."""
    op.execute("""
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT id, gen_random_uuid(), 'tenants', id, 'is_active', NULL, 'false', 'Not known to be active counted as inactive.'
        FROM tenants WHERE is_active IS NULL;
        UPDATE tenants SET is_active = false WHERE is_active IS NULL;
        ALTER TABLE tenants ALTER COLUMN is_active SET NOT NULL, ALTER COLUMN is_active SET DEFAULT true""")


def rename_subdomains() -> None:
    connection = op.get_bind()
    rows = connection.execute(text("SELECT id, name, subdomain FROM tenants ORDER BY created_at NULLS LAST, id")).all()
    changes = [{"row": row.id, "new": new, "reason": REASONS[why]} for row, new, why in renamed(rows)]
    op.execute("ALTER TABLE tenants DROP CONSTRAINT tenants_subdomain_key")  # names may change places
    if changes:
        connection.execute(
            text("""
                INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
                SELECT id, gen_random_uuid(), 'tenants', id, 'subdomain', to_jsonb(subdomain), to_jsonb(CAST(:new AS text)), :reason
                FROM tenants WHERE id = :row"""),
            changes,
        )
        connection.execute(text("UPDATE tenants SET subdomain = :new WHERE id = :row"), changes)
    op.execute("""
        ALTER TABLE tenants
            ADD CONSTRAINT tenants_subdomain_key UNIQUE (subdomain),
            ADD CONSTRAINT tenants_subdomain_form CHECK (subdomain ~ '^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$'),
            ADD CONSTRAINT tenants_platform_stays CHECK (subdomain <> 'platform' OR is_active)""")


def renamed(rows: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], str, str]]:
    """The rows, oldest first, that cannot keep their subdomain, each with a new one and the reason.

    Names that are only spelled in other letters go to their oldest holder before any name is made up.
    """
    taken = set(KEPT_FOR_THE_PORTAL)
    left = []
    for row in rows:
        plain = row.subdomain.lower() if row.subdomain.isascii() else ""
        if not WELL_FORMED.fullmatch(plain) or plain in taken:
            left.append((row, plain))
            continue
        taken.add(plain)
        if plain != row.subdomain:
            yield row, plain, "case"
    for row, plain in left:
        why = "form" if not WELL_FORMED.fullmatch(plain) else "platform" if plain in KEPT_FOR_THE_PORTAL else "twin"
        new = next(name for name in numbered(host_name(row)) if name not in taken)
        taken.add(new)
        yield row, new, why


def host_name(row: Row[Any]) -> str:
    """What can be kept of the subdomain, else of the organization's name, else a name from the row's id."""
    for typed in (row.subdomain, row.name):
        slug = re.sub(r"[^a-z0-9]+", "-", plain_letters(typed)).strip("-")[:60].strip("-")
        if len(slug) >= 3:
            return slug
        if slug:
            return f"{slug}-organization"
    return f"organization-{row.id.hex[-8:]}"


def plain_letters(typed: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", typed.casefold()) if not unicodedata.combining(sign))


def numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        suffix = f"-{number}"
        yield name[: 63 - len(suffix)].rstrip("-") + suffix
        number += 1


def downgrade() -> None:
    op.execute("""
        ALTER TABLE tenants
            DROP CONSTRAINT tenants_platform_stays,
            DROP CONSTRAINT tenants_subdomain_form,
            DROP CONSTRAINT tenants_subdomain_key,
            ALTER COLUMN is_active DROP NOT NULL,
            ALTER COLUMN is_active DROP DEFAULT;
        UPDATE tenants SET subdomain = note.old_value #>> '{}'
        FROM legacy_notes AS note
        WHERE note.table_name = 'tenants' AND note.column_name = 'subdomain' AND note.row_id = tenants.id
            AND tenants.subdomain = note.new_value #>> '{}';
        UPDATE tenants SET is_active = NULL
        FROM legacy_notes AS note
        WHERE note.table_name = 'tenants' AND note.column_name = 'is_active' AND note.row_id = tenants.id AND NOT tenants.is_active;
        DELETE FROM legacy_notes WHERE table_name = 'tenants' AND column_name IN ('subdomain', 'is_active');
        ALTER TABLE tenants ADD CONSTRAINT tenants_subdomain_key UNIQUE (subdomain)""")
    fill_access_codes()
    op.execute("""
        ALTER TABLE tenants
            ALTER COLUMN access_code SET NOT NULL,
            DROP COLUMN full_name,
            DROP COLUMN address,
            DROP COLUMN phone,
            DROP COLUMN organization_email,
            DROP COLUMN description,
            DROP COLUMN version""")


def fill_access_codes() -> None:
    """The legacy system needs a code for each organization: 11 url-safe characters, as its own are."""
    connection = op.get_bind()
    missing = connection.scalars(text("SELECT id FROM tenants WHERE access_code IS NULL")).all()
    if missing:
        codes = [{"row": row, "code": secrets.token_urlsafe(8)} for row in missing]
        connection.execute(text("UPDATE tenants SET access_code = :code WHERE id = :row"), codes)
