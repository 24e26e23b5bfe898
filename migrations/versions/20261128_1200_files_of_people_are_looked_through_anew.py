"""Files of people are looked through anew

What would have become of the lines of a file goes when its columns are matched otherwise.
"""

from alembic import op

revision = "20261128_1200"
down_revision = "20261128_1100"


def upgrade() -> None:
    op.execute("""
        GRANT DELETE ON upload_parts TO portal_app;
        CREATE POLICY upload_parts_remove ON upload_parts FOR DELETE TO portal_app USING (tenant_id = app_tenant() AND kind = 'fates')""")


def downgrade() -> None:
    op.execute("""
        DROP POLICY upload_parts_remove ON upload_parts;
        REVOKE DELETE ON upload_parts FROM portal_app""")
