"""What was not refused stands in order

The overview shows what happened last without what was refused, and looked through the refusals to find it, however many of them somebody
had caused. An index has the other entries in their order.
"""

from alembic import op

revision = "20261129_1120"
down_revision = "20261129_1110"


def upgrade() -> None:
    op.execute("CREATE INDEX audit_entries_not_refused ON audit_entries (tenant_id, seq) WHERE action <> 'refused'")


def downgrade() -> None:
    op.execute("DROP INDEX audit_entries_not_refused")
