"""Mail forgets whoever is removed

Whoever removes an account may not change mails at large, so a function that acts with its owner's rights takes one account's address out
of them: of an account of the organization that nobody can sign in to.

Anybody may ask for another address of the own account, also for one that somebody else waits for: the mail that confirms it for that one
stays when whoever asked too is removed.
"""

from alembic import op

revision = "20261128_1210"
down_revision = "20261128_1200"

APP, PLATFORM = "portal_app", "portal_platform"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE outbox
            ALTER COLUMN recipient DROP NOT NULL,
            ADD CONSTRAINT outbox_recipient_until_the_end CHECK (recipient IS NOT NULL OR sent_at IS NOT NULL OR failed_at IS NOT NULL);

        CREATE FUNCTION forget_mail(account uuid, why text) RETURNS void
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
                    AND (lower(recipient) IN (SELECT address FROM addresses)
                        AND NOT EXISTS (SELECT FROM public.mail_links AS theirs
                            WHERE theirs.tenant_id = public.app_tenant() AND theirs.mailed_as = outbox.id AND theirs.user_id <> $1)
                        OR id IN (SELECT id FROM mails))
            $$;
        REVOKE ALL ON FUNCTION forget_mail(uuid, text) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION forget_mail(uuid, text) TO {APP}, {PLATFORM}""")


def downgrade() -> None:
    op.execute("""
        DROP FUNCTION forget_mail(uuid, text);
        ALTER TABLE outbox DROP CONSTRAINT outbox_recipient_until_the_end;
        UPDATE outbox SET recipient = '' WHERE recipient IS NULL;
        ALTER TABLE outbox ALTER COLUMN recipient SET NOT NULL""")
