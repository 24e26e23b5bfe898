"""People are invited, or join by a code

Secrets are kept as SHA-256 only. The legacy system's access codes, which stood in clear in a column of `tenants`, become codes like the
others, under a label that says so: without an end, and with approval. The way back leaves that column empty, because nobody keeps what
stood in it.
"""

import hashlib
import re

from alembic import op
from sqlalchemy import text

revision = "20261124_1300"
down_revision = "20261124_1200"

APP, PLATFORM = "portal_app", "portal_platform"
OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"
NOT_YET = "accepted_at IS NULL AND role IN ('user', 'org_admin')"
NOT_YET_ANY = "accepted_at IS NULL AND (role IN ('user', 'org_admin') OR app_role() = 'super_admin')"
TABLES = {"invitations": "secret_hash, expires_at, mailed_as, accepted_at", "access_codes": "uses, revoked_at"}


def upgrade() -> None:
    op.execute("""
        CREATE TABLE invitations (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            user_id uuid NOT NULL,
            secret_hash bytea NOT NULL,
            line text,
            invited_by uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            mailed_as uuid,
            accepted_at timestamptz,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, secret_hash),
            UNIQUE (tenant_id, user_id),
            FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
            FOREIGN KEY (tenant_id, invited_by) REFERENCES users (tenant_id, id)
        );
        CREATE TABLE access_codes (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            id uuid NOT NULL,
            label text NOT NULL,
            secret_hash bytea NOT NULL,
            needs_approval boolean NOT NULL,
            max_uses integer,
            uses integer NOT NULL DEFAULT 0,
            made_by uuid,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            revoked_at timestamptz,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, secret_hash),
            FOREIGN KEY (tenant_id, made_by) REFERENCES users (tenant_id, id),
            CONSTRAINT access_codes_uses_within CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses))
        )""")
    take_over_legacy_codes()
    op.execute("ALTER TABLE tenants DROP COLUMN access_code")
    for table, changes in TABLES.items():
        op.execute(f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            CREATE POLICY {table}_owner ON {table} TO portal_owner USING (true) WITH CHECK (true)""")
        for role, name, condition in ((APP, table, OWN), (PLATFORM, f"{table}_platform", ANY_OR_BOUND)):
            op.execute(f"""
                GRANT SELECT, INSERT, UPDATE ({changes}) ON {table} TO {role};
                CREATE POLICY {name}_read ON {table} FOR SELECT TO {role} USING ({condition});
                CREATE POLICY {name}_add ON {table} FOR INSERT TO {role} WITH CHECK ({condition});
                CREATE POLICY {name}_change ON {table} FOR UPDATE TO {role} USING ({condition}) WITH CHECK ({condition})""")
    op.execute(f"""
        GRANT DELETE ON users TO {APP}, {PLATFORM};
        CREATE POLICY users_remove ON users FOR DELETE TO {APP} USING ({OWN} AND {NOT_YET});
        CREATE POLICY users_platform_remove ON users FOR DELETE TO {PLATFORM} USING ({ANY_OR_BOUND} AND {NOT_YET_ANY})""")


def take_over_legacy_codes() -> None:
    connection = op.get_bind()
    codes = connection.execute(text("SELECT id, access_code FROM tenants WHERE btrim(coalesce(access_code, '')) <> ''")).all()
    if codes:
        connection.execute(
            text("""
                INSERT INTO access_codes (tenant_id, id, label, secret_hash, needs_approval)
                VALUES (:tenant, gen_random_uuid(), 'Code of the legacy system', :hash, true)"""),
            [{"tenant": tenant, "hash": hash_of(code)} for tenant, code in codes],
        )


def hash_of(code: str) -> bytes:
    """Of a code as it is typed: letters and digits only, capitals."""
    return hashlib.sha256(re.sub(r"[^0-9A-Z]", "", code.upper()).encode()).digest()


def downgrade() -> None:
    op.execute(f"""
        DROP POLICY users_remove ON users;
        DROP POLICY users_platform_remove ON users;
        REVOKE DELETE ON users FROM {APP}, {PLATFORM};
        DROP TABLE invitations, access_codes;
        ALTER TABLE tenants ADD COLUMN access_code varchar""")
