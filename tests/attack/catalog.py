"""What PostgreSQL's catalog must say for organizations to be kept apart: a sentence, a query, and the only rows that it may give."""

from dataclasses import dataclass, field

ROLES = "('portal_app', 'portal_platform', 'portal_worker')"
OURS = "relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')"
HERE = "datname IN (current_database(), 'portal_template')"  # the template is what `flask provision` made
# Every right on a relation, W where it holds for whole rows, else for some columns; grantee 0 is PUBLIC.
GRANTED = f"""
    granted AS (
        SELECT pg_class.oid AS relation, relname, relkind, grantee, privilege_type AS command, true AS whole
        FROM pg_class CROSS JOIN aclexplode(relacl) WHERE {OURS}
        UNION ALL
        SELECT DISTINCT pg_class.oid, relname, relkind, grantee, privilege_type, false
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid CROSS JOIN aclexplode(attacl) WHERE {OURS}
    ),
    rights AS (SELECT granted.*, rolname FROM granted JOIN pg_roles ON pg_roles.oid = grantee WHERE rolname IN {ROLES})"""
POLICIES = """
    policies AS (
        SELECT polrelid AS relation, rolname, polpermissive,
            CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
            AS command,
            pg_get_expr(polqual, polrelid) AS qual, pg_get_expr(polwithcheck, polrelid) AS checked
        FROM pg_policy CROSS JOIN unnest(polroles) AS one LEFT JOIN pg_roles ON pg_roles.oid = one
    )"""


@dataclass(frozen=True)
class Rule:
    """`query` gives one text per row; `only` are the texts that are right. `breach` is a change that the rule must notice."""

    query: str
    breach: str
    only: set[str] = field(default_factory=set)


# Capital letters for whole rows, small ones for some columns: Select Insert Update Delete.
RIGHTS = {
    "tenants": "app: siu, platform: siu, worker: s",
    "users": "app: SIuD, platform: SIuD",
    "user_counts": "app: S, platform: S",
    "invitations": "app: SIu, platform: SIu",
    "access_codes": "app: SIu, platform: SIu",
    "mail_links": "app: SIu, platform: SIu, worker: sD",
    "asked_mails": "app: i, worker: SuD",
    "bulk_acts": "app: SI, platform: SI",
    "bulk_changes": "app: SI, platform: SI",
    "uploads": "app: SID, platform: S, worker: sD",
    "upload_parts": "app: SID",
    "agents": "app: SIuD, platform: SIu",
    "agent_versions": "app: SI, platform: SI",
    "agent_drafts": "app: SIuD, platform: SIuD, worker: sD",
    "agent_shares": "app: SIu, platform: S",
    "tenant_agents": "app: SIu, platform: SIu",
    "conversations": "app: SIu, platform: SIu",
    "conversation_users": "app: SIu, platform: SIu",
    "conversation_agents": "app: SIu, platform: SIu",
    "sessions": "app: SIuD, platform: SIuD, worker: sD",
    "audit_entries": "app: SI, platform: SI",
    "outbox": "app: SI, platform: SI, worker: SuD",
    "jobs": "app: Siu, platform: Si, worker: suD",
    "idempotency_keys": "app: SI, platform: SI, worker: sD",
    "legacy_notes": "platform: S",
    "rate_limits": "app: SIUD, platform: SIUD, worker: SD",
    "portal_alembic_version": "app: S, platform: S, worker: S",
}
WITHOUT_RLS = {"rate_limits", "portal_alembic_version"}  # counters under hashes; which revision this is
FUNCTIONS = {
    "app_role() of portal_owner, for portal_app portal_owner portal_platform portal_worker",
    "app_tenant() of portal_owner, for portal_app portal_owner portal_platform portal_worker",
    "app_user() of portal_owner, for portal_app portal_owner portal_platform portal_worker",
    "fill_tenant_of_conversation() of portal_owner, for portal_owner",
    "next_audit_seq(uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "stored_role(uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "may_use_agent(uuid,uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "organization_directory(text) of portal_owner, for portal_app portal_owner portal_platform"
    ", SECURITY DEFINER search_path=pg_catalog, pg_temp",
    "search_gram(uuid,text) of portal_owner, for portal_app portal_owner portal_platform",
    "search_grams(uuid,text) of portal_owner, for portal_app portal_owner portal_platform",
    "wanted_grams(uuid,text) of portal_owner, for portal_owner",
    "find_users(text,integer) of portal_owner, for portal_app portal_owner portal_platform"
    ", SECURITY DEFINER search_path=pg_catalog, pg_temp max_parallel_workers_per_gather=0 enable_seqscan=off",
    "agent_search_text(text,text,text) of portal_owner, for portal_app portal_owner portal_platform",
    "agent_capability_text(text[]) of portal_owner, for portal_app portal_owner portal_platform",
    "agent_grams(uuid,text) of portal_owner, for portal_app portal_owner portal_platform",
    "find_agents(text[],text,text[],text[],text[],text,uuid,integer,integer) of portal_owner, for portal_app portal_owner portal_platform"
    ", SECURITY DEFINER search_path=pg_catalog, pg_temp plan_cache_mode=force_generic_plan max_parallel_workers_per_gather=0"
    " enable_seqscan=off",
    "count_users() of portal_owner, for portal_owner, SECURITY DEFINER search_path=pg_catalog, pg_temp",
    "fold_user_counts(integer,integer) of portal_owner, for portal_owner portal_worker"
    ", SECURITY DEFINER search_path=pg_catalog, pg_temp enable_seqscan=off",
    "find_agent(uuid,uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "lock_agent(uuid,uuid,uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "add_agent_version(uuid,integer,uuid,text,text,text,text[],json,text,uuid,text,integer) of portal_owner"
    ", for portal_app portal_owner portal_platform",
    "organizations_of(text) of portal_owner, for portal_owner portal_worker, SECURITY DEFINER search_path=pg_catalog, pg_temp",
    "sees_agent(uuid,boolean,uuid,integer) of portal_owner, for portal_app portal_owner portal_platform",
    "edits_agent(uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "is_shared_with_us(uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "is_answered_so(uuid,uuid,uuid,text,uuid) of portal_owner, for portal_app portal_owner portal_platform",
    "own_subdomain() of portal_owner, for portal_app portal_owner portal_platform",
    "forget_mail(uuid,text) of portal_owner, for portal_app portal_owner portal_platform, SECURITY DEFINER search_path=pg_catalog, pg_temp",
}
LIMITS = {"statement_timeout=5s", "lock_timeout=2s", "idle_in_transaction_session_timeout=10s"}

RULES = {
    "each table that a role may touch enables and forces row level security": Rule(
        f"""WITH {GRANTED} SELECT DISTINCT rights.relname FROM rights JOIN pg_class ON pg_class.oid = relation
            WHERE NOT (relrowsecurity AND relforcerowsecurity)""",
        "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
        WITHOUT_RLS,
    ),
    "nothing but tables is open, no view or sequence": Rule(
        f"WITH {GRANTED} SELECT relname FROM rights WHERE relkind <> 'r'",
        "CREATE VIEW everybody AS SELECT * FROM users; GRANT SELECT (id) ON everybody TO portal_worker",
    ),
    "the roles have these rights and no others": Rule(
        f"""WITH {GRANTED}, letters AS (
                SELECT relname, rolname, command, CASE WHEN bool_or(whole) THEN left(command, 1) ELSE lower(left(command, 1)) END AS letter
                FROM rights GROUP BY relname, rolname, command
            ), roles AS (
                SELECT relname, substr(rolname, 8) AS who, string_agg(letter, '' ORDER BY position(upper(letter) IN 'SIUD'), command) AS may
                FROM letters GROUP BY relname, rolname
            )
            SELECT relname || ' ' || string_agg(who || ': ' || may, ', ' ORDER BY who) FROM roles GROUP BY relname""",
        "GRANT UPDATE (action) ON audit_entries TO portal_platform",
        {f"{table} {rights}" for table, rights in RIGHTS.items()},
    ),
    "each right has exactly one policy, and each policy a right": Rule(
        f"""WITH {GRANTED}, {POLICIES}, wanted AS (SELECT DISTINCT relation, rolname, command FROM rights)
            SELECT DISTINCT relation::regclass::text FROM wanted FULL JOIN policies USING (relation, rolname, command)
            WHERE rolname IS DISTINCT FROM 'portal_owner'
            GROUP BY relation, rolname, command HAVING count(wanted.relation) <> 1 OR count(policies.relation) <> 1""",
        "CREATE POLICY another ON users FOR SELECT TO portal_app USING (false)",
        WITHOUT_RLS,
    ),
    "the owner has one policy on each protected table, which lets everything pass": Rule(
        f"""WITH {POLICIES} SELECT relname FROM pg_class
            LEFT JOIN policies ON relation = pg_class.oid AND rolname = 'portal_owner'
                AND command = 'ALL' AND qual = 'true' AND checked = 'true'
            WHERE relrowsecurity GROUP BY relname HAVING count(relation) <> 1""",
        "ALTER POLICY users_owner ON users USING (tenant_id = app_tenant())",
    ),
    "no policy is restrictive, and none is for everybody": Rule(
        "SELECT polname FROM pg_policy WHERE NOT polpermissive OR 0 = ANY (polroles)",
        "CREATE POLICY closing ON users AS RESTRICTIVE TO portal_owner USING (true)",
    ),
    "no policy contains a subquery": Rule(
        "SELECT polname FROM pg_policy WHERE concat(polqual, polwithcheck) LIKE '%SUBLINK%'",
        "ALTER POLICY users_read ON users USING (tenant_id = (SELECT app_tenant()))",
    ),
    "each policy asks for the organization, but for what the worker sees of all": Rule(
        f"""WITH {POLICIES} SELECT concat_ws(' ', relation::regclass, rolname, command) FROM policies WHERE rolname <> 'portal_owner'
            AND (qual !~ 'app_tenant|sees_agent' OR checked !~ 'app_tenant')""",
        "ALTER POLICY agents_change ON agents WITH CHECK (NOT is_free_agent)",
        {
            *(
                f"{table} portal_worker {command}"
                for table in ("outbox", "jobs", "asked_mails")
                for command in ("SELECT", "UPDATE", "DELETE")
            ),
            *(
                f"{table} portal_worker {command}"
                for table in ("sessions", "idempotency_keys", "mail_links", "uploads", "agent_drafts")
                for command in ("SELECT", "DELETE")
            ),
        },
    ),
    "policies ask these functions only": Rule(
        """SELECT DISTINCT proname FROM pg_policy CROSS JOIN regexp_matches(concat(polqual, polwithcheck), ':funcid (\\d+)', 'g') AS found
           JOIN pg_proc ON pg_proc.oid = found[1]::oid""",
        "ALTER POLICY users_read ON users USING (tenant_id::text = current_setting('app.tenant_id'))",
        {
            *("app_tenant", "app_user", "app_role", "own_subdomain", "stored_role", "next_audit_seq", "octet_length", "now"),
            *("sees_agent", "may_use_agent", "edits_agent", "is_answered_so"),
        },
    ),
    "nothing is granted to everybody": Rule(
        f"""WITH {GRANTED}
            SELECT relname FROM granted WHERE grantee = 0
            UNION ALL SELECT oid::regprocedure::text FROM pg_proc CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner)))
                WHERE pronamespace = 'public'::regnamespace AND grantee = 0
            UNION ALL SELECT nspname FROM pg_namespace CROSS JOIN aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
                WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND grantee = 0
            UNION ALL SELECT datname FROM pg_database CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba)))
                WHERE {HERE} AND grantee = 0""",
        "CREATE FUNCTION public.forgotten() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    "nothing will be granted by itself": Rule(
        "SELECT defaclrole::regrole::text FROM pg_default_acl",
        "ALTER DEFAULT PRIVILEGES FOR ROLE portal_owner IN SCHEMA public GRANT SELECT ON TABLES TO portal_app",
    ),
    "no view shows what its owner sees": Rule(
        f"""SELECT relname FROM pg_class WHERE {OURS}
            AND (relkind = 'm' OR relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false))""",
        "CREATE VIEW everybody AS SELECT * FROM users",
    ),
    "the functions are these, and one acts with its owner's rights": Rule(
        """SELECT pg_proc.oid::regprocedure || ' of ' || proowner::regrole || ', for ' ||
               (SELECT string_agg(grantee::regrole::text, ' ' ORDER BY grantee::regrole::text) FROM aclexplode(proacl))
               || CASE WHEN prosecdef THEN ', SECURITY DEFINER ' || array_to_string(proconfig, ' ') ELSE '' END
           FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
        "ALTER FUNCTION organization_directory(text) RESET search_path",
        FUNCTIONS,
    ),
    "legacy writers are helped by triggers, and users counted, nothing else": Rule(
        "SELECT DISTINCT concat(tgrelid::regclass, ' ', tgname) FROM pg_trigger WHERE NOT tgisinternal",
        "CREATE TRIGGER another BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill_tenant_of_conversation()",
        {
            *("conversation_users fill_tenant", "conversation_agents fill_tenant"),
            *("users count_insert", "users count_update", "users count_delete"),
        },
    ),
    "foreign keys contain the organization": Rule(
        """SELECT conname FROM pg_constraint AS key
           JOIN pg_attribute AS theirs ON theirs.attrelid = confrelid
               AND theirs.attname = CASE WHEN confrelid = 'tenants'::regclass THEN 'id' ELSE 'tenant_id' END
           LEFT JOIN pg_attribute AS own ON own.attrelid = conrelid AND own.attname IN ('tenant_id', 'owner_tenant_id')
           WHERE contype = 'f' AND NOT coalesce(
               array_position(conkey, own.attnum) = array_position(confkey, theirs.attnum), false)
           UNION ALL SELECT conname FROM pg_constraint WHERE contype = 'f' AND confrelid = 'agents'::regclass""",
        """ALTER TABLE sessions DROP CONSTRAINT sessions_tenant_id_user_id_fkey,
           ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)""",
        {
            # an agent may belong to everybody, so the policy asks may_use_agent() or edits_agent()
            *("conversation_agents_agent_id_fkey", "tenant_agents_agent_id_fkey", "agent_drafts_agent_id_fkey"),
            # of free agents alone; those of an organization are kept by the next one, which names it as agents do
            *("agent_versions_agent_id_fkey", "agent_versions_owner_tenant_id_agent_id_fkey", "agent_shares_tenant_id_agent_id_fkey"),
            # whoever accepted is of the partner's organization, and only there can it be written
            *("agent_shares_partner_fkey", "agent_shares_partner_decided_by_fkey"),
            "refresh_tokens_user_id_fkey",  # legacy tokens are out of every role's reach
        },
    ),
    "unique keys contain the organization": Rule(
        """SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
           WHERE indisunique AND relrowsecurity AND NOT EXISTS (
               SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)
               AND attname = CASE relname WHEN 'tenants' THEN 'id' WHEN 'agents' THEN 'owner_tenant_id' ELSE 'tenant_id' END)""",
        "ALTER TABLE users ADD CONSTRAINT one_person_one_email UNIQUE (email)",
        {
            "tenants_subdomain_key",  # host names are everybody's, and public
            "agents_pkey",
            "agent_versions_pkey",
            "asked_mails_pkey",  # of nobody yet: the worker looks who is meant
            # of the legacy system
            "users_pkey",
            "conversations_pkey",
            "conversation_users_pkey",
            "_conversation_user_uc",
            "conversation_agents_pkey",
            "_conversation_agent_uc",
        },
    ),
    "the roles can log in and nothing else": Rule(
        f"""SELECT rolname FROM pg_roles WHERE (rolname IN {ROLES} OR rolname = 'portal_owner')
            AND NOT (rolcanlogin AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreatedb AND NOT rolcreaterole AND NOT rolreplication)""",
        "ALTER ROLE portal_worker BYPASSRLS",
    ),
    "the roles are members of nothing, but the worker may look at the server's statistics": Rule(
        f"""SELECT concat(member::regrole, ' in ', roleid::regrole) FROM pg_auth_members
            WHERE member::regrole::text IN {ROLES} OR member::regrole::text = 'portal_owner'""",
        "GRANT portal_platform TO portal_app",
        {"portal_worker in pg_monitor"},
    ),
    "the roles own nothing": Rule(
        f"SELECT DISTINCT refobjid::regrole::text FROM pg_shdepend WHERE deptype = 'o' AND refobjid::regrole::text IN {ROLES}",
        "CREATE TABLE own (id int); ALTER TABLE own OWNER TO portal_worker",
    ),
    "the roles can make nothing, temporary tables neither": Rule(
        f"""SELECT concat(rolname, ' in ', nspname) FROM pg_roles, pg_namespace
            WHERE rolname IN {ROLES} AND has_schema_privilege(rolname, nspname, 'CREATE')
            UNION ALL SELECT concat(rolname, ' in ', datname) FROM pg_roles, pg_database
            WHERE rolname IN {ROLES} AND {HERE} AND has_database_privilege(rolname, datname, 'CREATE, TEMPORARY')""",
        "GRANT CREATE ON SCHEMA public TO portal_app",
    ),
    "the roles' time is limited": Rule(
        f"SELECT concat(setrole::regrole, ' ', unnest(setconfig)) FROM pg_db_role_setting WHERE setrole::regrole::text IN {ROLES}",
        "ALTER ROLE portal_app SET statement_timeout = 0",
        {f"{role} {limit}" for role in ("portal_app", "portal_platform", "portal_worker") for limit in LIMITS},
    ),
    "no role reads refresh tokens": Rule(
        f"""SELECT concat(rolname, ' ', attrelid::regclass, '.', attname) FROM pg_roles, pg_attribute
            WHERE rolname IN {ROLES} AND attnum > 0
            AND attrelid = 'refresh_tokens'::regclass
            AND has_column_privilege(rolname, attrelid, attname, 'SELECT, INSERT, UPDATE, REFERENCES')""",
        "GRANT SELECT (token) ON refresh_tokens TO portal_platform",
    ),
    "no role rewrites who a row is, whose it is or when it was made": Rule(
        f"""SELECT concat(rolname, ' ', relname, '.', attname) FROM pg_roles, pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE rolname IN {ROLES} AND relrowsecurity AND has_column_privilege(rolname, attrelid, attname, 'UPDATE')
            AND (attname ~ '(^|_)id$' OR attname IN ('is_free_agent', 'subdomain', 'created_at', 'joined_at', 'added_at'))""",
        "GRANT UPDATE ON agents TO portal_platform",
    ),
}
