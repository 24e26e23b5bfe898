"""Many accounts are changed or imported at once

An act on many accounts is one row and one entry of the audit log, whose object it is; what it did to each account is a row too, by
which the account's history and an undo find it. An uploaded file is kept in parts until its import is over.
"""

from alembic import op

revision = "20261124_1500"
down_revision = "20261124_1400"

APP, PLATFORM, WORKER = "portal_app", "portal_platform", "portal_worker"
OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"
EXPIRED = "expires_at < now()"
# table: for whom: command: its condition
READ, ADD, REMOVE = "FOR SELECT TO {role} USING", "FOR INSERT TO {role} WITH CHECK", "FOR DELETE TO {role} USING"
RULES = {
    "bulk_acts": {APP: ((READ, OWN), (ADD, f"{OWN} AND made_by = app_user()")),
                  PLATFORM: ((READ, ANY_OR_BOUND), (ADD, f"{ANY_OR_BOUND} AND made_by = app_user()"))},
    "bulk_changes": {APP: ((READ, OWN), (ADD, OWN)), PLATFORM: ((READ, ANY_OR_BOUND), (ADD, ANY_OR_BOUND))},
    "uploads": {APP: ((READ, OWN), (ADD, f"{OWN} AND uploaded_by = app_user()"), (REMOVE, OWN)),
                PLATFORM: ((READ, ANY_OR_BOUND),),
                WORKER: ((READ, EXPIRED), (REMOVE, EXPIRED))},
    "upload_parts": {APP: ((READ, OWN), (ADD, OWN))},
}  # fmt: skip
NAMES = {READ: "read", ADD: "add", REMOVE: "remove"}
GRANTS = {READ: "SELECT", ADD: "INSERT", REMOVE: "DELETE"}
SEEN = {("uploads", WORKER): " (tenant_id, id, expires_at)"}


def upgrade() -> None:
    op.execute("""
        CREATE TABLE bulk_acts (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            act text NOT NULL,
            role text,
            undoes uuid,
            made_by uuid NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, undoes),
            FOREIGN KEY (tenant_id, undoes) REFERENCES bulk_acts (tenant_id, id),
            FOREIGN KEY (tenant_id, made_by) REFERENCES users (tenant_id, id),
            CONSTRAINT bulk_acts_act_known CHECK (act IN ('role', 'deactivate', 'reactivate', 'sign_out', 'import'))
        );
        CREATE TABLE bulk_changes (
            tenant_id uuid NOT NULL,
            act_id uuid NOT NULL,
            user_id uuid NOT NULL,
            old_role text,
            old_state text,
            new_role text NOT NULL,
            new_state text NOT NULL,
            PRIMARY KEY (tenant_id, act_id, user_id),
            FOREIGN KEY (tenant_id, act_id) REFERENCES bulk_acts (tenant_id, id)
        );
        CREATE INDEX bulk_changes_by_user ON bulk_changes (tenant_id, user_id, act_id);
        CREATE TABLE uploads (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            name text NOT NULL,
            size integer NOT NULL,
            become text NOT NULL,
            uploaded_by uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, uploaded_by) REFERENCES users (tenant_id, id),
            CONSTRAINT uploads_become_known CHECK (become IN ('invited', 'deactivated'))
        );
        CREATE INDEX uploads_expires_at_idx ON uploads (expires_at);
        CREATE TABLE upload_parts (
            tenant_id uuid NOT NULL,
            upload_id uuid NOT NULL,
            kind text NOT NULL,
            number integer NOT NULL,
            bytes bytea NOT NULL,
            PRIMARY KEY (tenant_id, upload_id, kind, number),
            FOREIGN KEY (tenant_id, upload_id) REFERENCES uploads (tenant_id, id) ON DELETE CASCADE,
            CONSTRAINT upload_parts_kind_known CHECK (kind IN ('file', 'fates'))
        )""")
    for table, rules in RULES.items():
        op.execute(f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            CREATE POLICY {table}_owner ON {table} TO portal_owner USING (true) WITH CHECK (true)""")
        for role, policies in rules.items():
            whose = {APP: table, PLATFORM: f"{table}_platform", WORKER: f"{table}_worker"}[role]
            for command, condition in policies:
                columns = SEEN.get((table, role), "") if command is READ else ""
                op.execute(f"""
                    GRANT {GRANTS[command]}{columns} ON {table} TO {role};
                    CREATE POLICY {whose}_{NAMES[command]} ON {table} {command.format(role=role)} ({condition})""")


def downgrade() -> None:
    op.execute("DROP TABLE upload_parts, uploads, bulk_changes, bulk_acts")
