"""Legacy schema of the tables that the portal uses

On a database of the legacy system this revision is stamped, never run: `flask db stamp 20261123_1000`.
"""

from alembic import op
from alembic.util import CommandError

revision = "20261123_1000"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE tenants (
            id uuid PRIMARY KEY,
            name varchar NOT NULL,
            subdomain varchar NOT NULL UNIQUE,
            access_code varchar NOT NULL,
            is_active boolean,
            created_at timestamptz DEFAULT now(),
            updated_at timestamptz
        );
        CREATE TABLE users (
            id uuid PRIMARY KEY,
            email varchar NOT NULL,
            username varchar NOT NULL,
            hashed_password varchar NOT NULL,
            first_name varchar,
            last_name varchar,
            is_active boolean,
            is_verified boolean,
            role varchar,
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            created_at timestamptz DEFAULT now(),
            updated_at timestamptz,
            CONSTRAINT _email_tenant_uc UNIQUE (email, tenant_id),
            CONSTRAINT _username_tenant_uc UNIQUE (username, tenant_id)
        );
        CREATE TABLE refresh_tokens (
            id uuid PRIMARY KEY,
            token varchar NOT NULL UNIQUE,
            user_id uuid NOT NULL REFERENCES users (id),
            expires_at timestamptz NOT NULL,
            created_at timestamptz DEFAULT now()
        );
        CREATE TABLE conversations (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            title varchar,
            description text,
            status varchar,
            created_by_user_id uuid REFERENCES users (id),
            created_at timestamptz DEFAULT now(),
            updated_at timestamptz
        );
        CREATE TABLE conversation_users (
            id uuid PRIMARY KEY,
            conversation_id uuid NOT NULL REFERENCES conversations (id),
            user_id uuid NOT NULL REFERENCES users (id),
            joined_at timestamptz DEFAULT now(),
            is_active boolean,
            CONSTRAINT _conversation_user_uc UNIQUE (conversation_id, user_id)
        );
        CREATE TABLE conversation_agents (
            id uuid PRIMARY KEY,
            conversation_id uuid NOT NULL REFERENCES conversations (id),
            agent_type varchar NOT NULL,
            added_at timestamptz DEFAULT now(),
            is_active boolean,
            configuration text,
            CONSTRAINT _conversation_agent_uc UNIQUE (conversation_id, agent_type)
        )""")


def downgrade() -> None:
    raise CommandError("There is nothing below the legacy schema: going further down would drop the legacy tables and all their rows.")
