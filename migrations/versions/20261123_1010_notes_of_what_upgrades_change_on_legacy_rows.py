"""Notes of what upgrades change on legacy rows

An upgrade that changes or takes out a legacy row writes the old value here, so that people can read it and a downgrade restores it.
"""

from alembic import op

revision = "20261123_1010"
down_revision = "20261123_1000"


def upgrade() -> None:
    # No foreign key: notes must not hinder the legacy programs from removing what is theirs.
    op.execute("""
        CREATE TABLE legacy_notes (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            table_name text NOT NULL,
            row_id uuid NOT NULL,
            column_name text,
            old_value jsonb,
            new_value jsonb,
            reason text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, id)
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE legacy_notes")
