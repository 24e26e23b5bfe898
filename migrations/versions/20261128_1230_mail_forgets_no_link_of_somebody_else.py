"""Mail forgets no link of somebody else

Anybody may ask for another address of the own account, also for one that somebody else waits for: the mail that confirms it for that one
stays when whoever asked too is removed.
"""

from alembic import op

revision = "20261128_1230"
down_revision = "20261128_1220"

NOT_SOMEBODY_ELSES = """
                        AND NOT EXISTS (SELECT FROM public.mail_links AS theirs
                            WHERE theirs.tenant_id = public.app_tenant() AND theirs.mailed_as = outbox.id AND theirs.user_id <> $1)"""


def upgrade() -> None:
    forget_mail(NOT_SOMEBODY_ELSES)


def downgrade() -> None:
    forget_mail("")


def forget_mail(of_an_address: str) -> None:
    op.execute(f"""
        CREATE OR REPLACE FUNCTION forget_mail(account uuid, why text) RETURNS void
            LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
            AS $$
                WITH gone AS (
                    SELECT id, email, pending_email FROM public.users
                    WHERE tenant_id = public.app_tenant() AND id = $1 AND state <> 'active' AND public.app_role() <> 'user'
                ),
                links AS (
                    DELETE FROM public.mail_links USING gone WHERE tenant_id = public.app_tenant() AND user_id = gone.id
                    RETURNING mail_links.email, mailed_as
                ),
                addresses AS (
                    SELECT lower(address) AS address
                    FROM (SELECT email FROM gone UNION SELECT pending_email FROM gone UNION SELECT email FROM links) AS known (address)
                    WHERE address IS NOT NULL AND NOT EXISTS (
                        SELECT FROM public.users, gone
                        WHERE tenant_id = public.app_tenant() AND users.id <> gone.id AND lower(users.email) = lower(address))
                ),
                mails AS (
                    SELECT mailed_as AS id FROM links
                    UNION SELECT mailed_as FROM public.invitations, gone WHERE tenant_id = public.app_tenant() AND user_id = gone.id
                )
                UPDATE public.outbox SET
                    recipient = NULL, body_text = NULL, body_html = NULL,
                    failed_at = CASE WHEN sent_at IS NULL THEN coalesce(failed_at, now()) END,
                    last_error = CASE WHEN sent_at IS NULL THEN $2 END
                WHERE tenant_id = public.app_tenant()
                    AND (lower(recipient) IN (SELECT address FROM addresses){of_an_address} OR id IN (SELECT id FROM mails))
            $$""")
