"""Links for a new password and an address

Secrets are kept as SHA-256 only. What visitors ask to be mailed waits in a table that the web adds to and cannot read: the worker looks
who is meant, so that a request is the same whether anybody is.
"""

from alembic import op

revision = "20261124_1400"
down_revision = "20261124_1300"

OWNER, APP, PLATFORM, WORKER = "portal_owner", "portal_app", "portal_platform", "portal_worker"
OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"
# A link is of oneself, or made in one's own name for somebody who is of no higher rank.
OF_ONESELF = "user_id = app_user() AND made_by IS NULL"
HANDED_OVER = "made_by = app_user() AND stored_role(user_id) IN ('user', 'org_admin')"
HANDED_OVER_BY_THE_PLATFORM = "made_by = app_user() AND (stored_role(user_id) IN ('user', 'org_admin') OR app_role() = 'super_admin')"
RULES = (
    (APP, "mail_links", OWN, HANDED_OVER),
    (PLATFORM, "mail_links_platform", ANY_OR_BOUND, HANDED_OVER_BY_THE_PLATFORM),
)


def upgrade() -> None:
    op.execute("""
        CREATE TABLE mail_links (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            kind text NOT NULL,
            user_id uuid NOT NULL,
            secret_hash bytea NOT NULL,
            email text,
            auth_epoch integer NOT NULL,
            made_by uuid,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            used_at timestamptz,
            mailed_as uuid,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, secret_hash),
            FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
            FOREIGN KEY (tenant_id, made_by) REFERENCES users (tenant_id, id),
            CONSTRAINT mail_links_kind_known CHECK (kind IN ('password', 'email')),
            CONSTRAINT mail_links_secret_whole CHECK (octet_length(secret_hash) = 32),
            CONSTRAINT mail_links_mailed_or_handed_over CHECK ((email IS NULL) = (made_by IS NOT NULL))
        );
        CREATE INDEX mail_links_tenant_id_user_id_idx ON mail_links (tenant_id, user_id);
        CREATE INDEX mail_links_expires_at_idx ON mail_links (expires_at);

        CREATE TABLE asked_mails (
            id uuid PRIMARY KEY,
            kind text NOT NULL,
            organization text,
            login text NOT NULL,
            network text,
            take_after timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
            CONSTRAINT asked_mails_kind_known CHECK (kind IN ('password', 'organizations')),
            CONSTRAINT asked_mails_organization_known CHECK ((organization IS NULL) = (kind = 'organizations'))
        )""")
    for table in ("mail_links", "asked_mails"):
        op.execute(f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            CREATE POLICY {table}_owner ON {table} TO {OWNER} USING (true) WITH CHECK (true)""")
    for role, name, reach, handed_over in RULES:
        op.execute(f"""
            GRANT SELECT, INSERT, UPDATE (used_at, mailed_as) ON mail_links TO {role};
            CREATE POLICY {name}_read ON mail_links FOR SELECT TO {role} USING ({reach});
            CREATE POLICY {name}_add ON mail_links FOR INSERT TO {role} WITH CHECK ({reach} AND ({OF_ONESELF} OR {handed_over}));
            CREATE POLICY {name}_change ON mail_links FOR UPDATE TO {role} USING ({reach}) WITH CHECK ({reach})""")
    op.execute(f"""
        GRANT SELECT (tenant_id, id, expires_at), DELETE ON mail_links TO {WORKER};
        CREATE POLICY mail_links_worker_read ON mail_links FOR SELECT TO {WORKER} USING (expires_at < now());
        CREATE POLICY mail_links_worker_remove ON mail_links FOR DELETE TO {WORKER} USING (expires_at < now());

        GRANT INSERT (id, kind, organization, login, network) ON asked_mails TO {APP};
        CREATE POLICY asked_mails_add ON asked_mails FOR INSERT TO {APP} WITH CHECK (app_tenant() IS NULL);
        GRANT SELECT, UPDATE (take_after), DELETE ON asked_mails TO {WORKER};
        CREATE POLICY asked_mails_worker_read ON asked_mails FOR SELECT TO {WORKER} USING (true);
        CREATE POLICY asked_mails_worker_change ON asked_mails FOR UPDATE TO {WORKER} USING (true) WITH CHECK (true);
        CREATE POLICY asked_mails_worker_remove ON asked_mails FOR DELETE TO {WORKER} USING (true);

        CREATE INDEX users_by_email_key ON users (email_key) WHERE is_active;
        CREATE FUNCTION organizations_of(wanted text) RETURNS TABLE (tenant_id uuid)
            LANGUAGE sql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, pg_temp
            AS $$
                SELECT users.tenant_id FROM public.users JOIN public.tenants ON tenants.id = users.tenant_id
                WHERE users.email_key = $1 AND users.is_active AND tenants.is_active ORDER BY tenants.created_at, tenants.id LIMIT 50
            $$;
        REVOKE ALL ON FUNCTION organizations_of(text) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION organizations_of(text) TO {WORKER}""")


def downgrade() -> None:
    op.execute("""
        DROP FUNCTION organizations_of(text);
        DROP INDEX users_by_email_key;
        DROP TABLE asked_mails, mail_links""")
