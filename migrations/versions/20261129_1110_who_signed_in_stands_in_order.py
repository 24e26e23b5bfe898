"""Who signed in stands in order

A page of those who signed in during the last week, the last quarter or before, by name, looked at everybody from the first name on. In a
large organization hundreds come first who never did: those who were invited by their address alone. An index has the others in order.
"""

from alembic import op

revision = "20261129_1110"
down_revision = "20261129_1100"


def upgrade() -> None:
    op.execute("""
        CREATE INDEX users_signed_in ON users (tenant_id, sort_key, id) WHERE removed_at IS NULL AND last_sign_in_at IS NOT NULL""")


def downgrade() -> None:
    op.execute("DROP INDEX users_signed_in")
