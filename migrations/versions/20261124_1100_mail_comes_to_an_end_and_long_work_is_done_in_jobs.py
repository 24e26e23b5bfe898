"""Mail comes to an end, and long work is done in jobs

A mail keeps one Message-ID and knows when it is of no more use; once it is sent or given up its text goes, because it may hold a
secret. A job is put down by the app as whoever asks for it, taken up by the worker, and finished by the app in the transaction of the
work itself, so that what was done and that it was done cannot differ.
"""

from alembic import op

revision = "20261124_1100"
down_revision = "20261124_1000"

OVER = "sent_at IS NOT NULL OR failed_at IS NOT NULL"
OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE outbox
            ADD COLUMN message_id text,
            ADD COLUMN expires_at timestamptz,
            ALTER COLUMN body_text DROP NOT NULL;
        UPDATE outbox SET message_id = '<' || id || '@' || tenant_id || '>', expires_at = created_at + interval '7 days';
        UPDATE outbox SET body_text = NULL, body_html = NULL WHERE {OVER};
        ALTER TABLE outbox
            ALTER COLUMN message_id SET NOT NULL,
            ALTER COLUMN expires_at SET NOT NULL,
            ADD CONSTRAINT outbox_one_end CHECK (sent_at IS NULL OR failed_at IS NULL),
            ADD CONSTRAINT outbox_text_goes_at_the_end CHECK (
                (body_text IS NULL) = ({OVER}) AND (body_text IS NOT NULL OR body_html IS NULL));
        CREATE INDEX outbox_expires_at_idx ON outbox (expires_at) WHERE sent_at IS NULL AND failed_at IS NULL;
        CREATE INDEX outbox_over_idx ON outbox (COALESCE(sent_at, failed_at)) WHERE {OVER};
        GRANT UPDATE (body_text, body_html), DELETE ON outbox TO portal_worker;
        CREATE POLICY outbox_worker_remove ON outbox FOR DELETE TO portal_worker
            USING (coalesce(sent_at, failed_at) < now() - interval '30 days');

        CREATE TABLE jobs (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            kind text NOT NULL,
            asked_by uuid NOT NULL,
            network text,
            arguments jsonb NOT NULL DEFAULT '{{}}',
            state text NOT NULL DEFAULT 'queued',
            done bigint NOT NULL DEFAULT 0,
            total bigint,
            done_before bigint NOT NULL DEFAULT 0,
            checkpoint jsonb,
            attempts integer NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL DEFAULT now(),
            take_after timestamptz NOT NULL DEFAULT now(),
            started_at timestamptz,
            beat_at timestamptz,
            finished_at timestamptz,
            expires_at timestamptz NOT NULL,
            report jsonb,
            error text,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, asked_by) REFERENCES users (tenant_id, id),
            CONSTRAINT jobs_state_known CHECK (state IN ('queued', 'running', 'done', 'failed')),
            CONSTRAINT jobs_finished_at_the_end CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed')))
        );
        CREATE INDEX jobs_waiting_idx ON jobs (created_at) WHERE state IN ('queued', 'running');
        CREATE INDEX jobs_expires_at_idx ON jobs (expires_at);
        ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY jobs_owner ON jobs TO portal_owner USING (true) WITH CHECK (true);

        GRANT SELECT,
            INSERT (tenant_id, id, kind, asked_by, network, arguments, expires_at),
            UPDATE (state, done, total, checkpoint, report, finished_at) ON jobs TO portal_app;
        CREATE POLICY jobs_read ON jobs FOR SELECT TO portal_app USING ({OWN});
        CREATE POLICY jobs_add ON jobs FOR INSERT TO portal_app WITH CHECK ({OWN} AND asked_by = app_user());
        CREATE POLICY jobs_change ON jobs FOR UPDATE TO portal_app
            USING ({OWN} AND state = 'running') WITH CHECK ({OWN} AND state IN ('running', 'done'));

        GRANT SELECT, INSERT (tenant_id, id, kind, asked_by, network, arguments, expires_at) ON jobs TO portal_platform;
        CREATE POLICY jobs_platform_read ON jobs FOR SELECT TO portal_platform USING ({ANY_OR_BOUND});
        CREATE POLICY jobs_platform_add ON jobs FOR INSERT TO portal_platform WITH CHECK ({ANY_OR_BOUND} AND asked_by = app_user());

        GRANT SELECT (tenant_id, id, kind, state, done, attempts, created_at, take_after, expires_at),
            UPDATE (state, done, total, done_before, attempts, take_after, started_at, beat_at, finished_at, error),
            DELETE ON jobs TO portal_worker;
        CREATE POLICY jobs_worker_read ON jobs FOR SELECT TO portal_worker USING (true);
        CREATE POLICY jobs_worker_change ON jobs FOR UPDATE TO portal_worker USING (true) WITH CHECK (true);
        CREATE POLICY jobs_worker_remove ON jobs FOR DELETE TO portal_worker USING (expires_at < now())""")


def downgrade() -> None:
    op.execute("""
        DROP TABLE jobs;
        DROP POLICY outbox_worker_remove ON outbox;
        REVOKE UPDATE (body_text, body_html), DELETE ON outbox FROM portal_worker;
        DROP INDEX outbox_over_idx, outbox_expires_at_idx;
        ALTER TABLE outbox
            DROP CONSTRAINT outbox_text_goes_at_the_end,
            DROP CONSTRAINT outbox_one_end,
            DROP COLUMN message_id,
            DROP COLUMN expires_at;
        UPDATE outbox SET body_text = '' WHERE body_text IS NULL;
        ALTER TABLE outbox ALTER COLUMN body_text SET NOT NULL""")
