"""Sessions, audit log, outbox and what is counted or done only once"""

from alembic import op

revision = "20261123_1100"
down_revision = "20261123_1050"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE sessions (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            user_id uuid NOT NULL,
            secret_hash bytea NOT NULL,
            auth_epoch integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            seen_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            user_agent text,
            network text,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, secret_hash),
            FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
        );
        CREATE INDEX sessions_tenant_id_user_id_idx ON sessions (tenant_id, user_id);
        CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

        CREATE TABLE audit_entries (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            seq bigint NOT NULL,
            at timestamptz NOT NULL,
            actor_id uuid,
            actor_name text,
            action text NOT NULL,
            object_type text,
            object_id uuid,
            changes jsonb NOT NULL DEFAULT '{}',
            network text,
            previous_hash bytea,
            hash bytea NOT NULL,
            PRIMARY KEY (tenant_id, seq)
        );
        CREATE INDEX audit_entries_tenant_id_action_at_idx ON audit_entries (tenant_id, action, at);

        CREATE TABLE outbox (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            id uuid NOT NULL,
            recipient text NOT NULL,
            subject text NOT NULL,
            body_text text NOT NULL,
            body_html text,
            created_at timestamptz NOT NULL DEFAULT now(),
            send_after timestamptz NOT NULL DEFAULT now(),
            attempts integer NOT NULL DEFAULT 0,
            sent_at timestamptz,
            failed_at timestamptz,
            last_error text,
            PRIMARY KEY (tenant_id, id)
        );
        CREATE INDEX outbox_waiting_idx ON outbox (send_after) WHERE sent_at IS NULL AND failed_at IS NULL;

        CREATE TABLE idempotency_keys (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            key bytea NOT NULL,
            action text NOT NULL,
            result_id uuid,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, key)
        );
        CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

        CREATE UNLOGGED TABLE rate_limits (
            key text PRIMARY KEY,
            hits integer NOT NULL,
            expires double precision NOT NULL
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE rate_limits, idempotency_keys, outbox, audit_entries, sessions")
