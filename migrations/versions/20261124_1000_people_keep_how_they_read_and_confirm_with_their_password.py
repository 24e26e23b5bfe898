"""People keep how they read the portal, and a session knows when its password was typed

An address that waits for confirmation stands beside the one that holds. Sessions from before this revision count as confirmed when
they began, so that nobody is taken for freshly signed in.
"""

from alembic import op

revision = "20261124_1000"
down_revision = "20261123_1110"

READERS = "theme, time_zone, density, pending_email, pending_email_at"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE users
            ADD COLUMN theme text,
            ADD COLUMN time_zone text,
            ADD COLUMN density text,
            ADD COLUMN pending_email text,
            ADD COLUMN pending_email_at timestamptz,
            ADD CONSTRAINT users_theme_known CHECK (theme IN ('light', 'dark', 'system')),
            ADD CONSTRAINT users_density_known CHECK (density IN ('comfortable', 'compact')),
            ADD CONSTRAINT users_pending_email_whole CHECK ((pending_email IS NULL) = (pending_email_at IS NULL));
        GRANT UPDATE ({READERS}) ON users TO portal_app, portal_platform;

        ALTER TABLE sessions ADD COLUMN confirmed_at timestamptz;
        UPDATE sessions SET confirmed_at = created_at;
        ALTER TABLE sessions ALTER COLUMN confirmed_at SET NOT NULL, ALTER COLUMN confirmed_at SET DEFAULT now();
        GRANT UPDATE (confirmed_at) ON sessions TO portal_app, portal_platform""")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE sessions DROP COLUMN confirmed_at;
        ALTER TABLE users
            DROP COLUMN theme,
            DROP COLUMN time_zone,
            DROP COLUMN density,
            DROP COLUMN pending_email,
            DROP COLUMN pending_email_at""")
