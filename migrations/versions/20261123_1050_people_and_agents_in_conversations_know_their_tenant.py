"""People and agents in conversations know their tenant

A key that contains the tenant cannot lead into another one. Legacy rows that do are put right first: people of another
organization are taken out of a conversation, and a creator of another organization is no longer named.
"""

from alembic import op

revision = "20261123_1050"
down_revision = "20261123_1040"


def upgrade() -> None:
    take_out_strangers()
    op.execute("""
        ALTER TABLE conversations
            ADD CONSTRAINT conversations_tenant_id_id_key UNIQUE (tenant_id, id),
            DROP CONSTRAINT conversations_created_by_user_id_fkey,
            ADD CONSTRAINT conversations_tenant_id_created_by_user_id_fkey
                FOREIGN KEY (tenant_id, created_by_user_id) REFERENCES users (tenant_id, id);

        ALTER TABLE conversation_users ADD COLUMN tenant_id uuid;
        UPDATE conversation_users SET tenant_id = conversations.tenant_id FROM conversations WHERE conversations.id = conversation_id;
        ALTER TABLE conversation_users
            ALTER COLUMN tenant_id SET NOT NULL,
            DROP CONSTRAINT conversation_users_conversation_id_fkey,
            DROP CONSTRAINT conversation_users_user_id_fkey,
            ADD CONSTRAINT conversation_users_tenant_id_conversation_id_fkey
                FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id),
            ADD CONSTRAINT conversation_users_tenant_id_user_id_fkey
                FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id);

        ALTER TABLE conversation_agents ADD COLUMN tenant_id uuid;
        UPDATE conversation_agents SET tenant_id = conversations.tenant_id FROM conversations WHERE conversations.id = conversation_id;
        ALTER TABLE conversation_agents
            ALTER COLUMN tenant_id SET NOT NULL,
            DROP CONSTRAINT conversation_agents_conversation_id_fkey,
            DROP CONSTRAINT conversation_agents_conversation_id_agent_id_key,
            ADD CONSTRAINT conversation_agents_tenant_id_conversation_id_agent_id_key UNIQUE (tenant_id, conversation_id, agent_id),
            ADD CONSTRAINT conversation_agents_tenant_id_conversation_id_fkey
                FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id)""")
    fill_the_tenant_for_legacy_writers()


def take_out_strangers() -> None:
    op.execute("""
        WITH strangers AS (
            DELETE FROM conversation_users AS member USING conversations, users
            WHERE conversations.id = member.conversation_id AND users.id = member.user_id AND conversations.tenant_id <> users.tenant_id
            RETURNING conversations.tenant_id, member.id, to_jsonb(member) AS row
        )
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'conversation_users', id, NULL, row, NULL, 'This person belongs to another organization.'
        FROM strangers;

        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT conversations.tenant_id, gen_random_uuid(), 'conversations', conversations.id, 'created_by_user_id',
            to_jsonb(created_by_user_id), NULL, 'The person who created this belongs to another organization.'
        FROM conversations JOIN users ON users.id = created_by_user_id WHERE users.tenant_id <> conversations.tenant_id;
        UPDATE conversations SET created_by_user_id = NULL
        FROM users WHERE users.id = created_by_user_id AND users.tenant_id <> conversations.tenant_id""")


def fill_the_tenant_for_legacy_writers() -> None:
    """They know no tenant_id in these tables. When the last of them is gone, a revision drops triggers and function."""
    op.execute("""
        CREATE FUNCTION fill_tenant_of_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            SELECT conversations.tenant_id INTO NEW.tenant_id FROM public.conversations WHERE conversations.id = NEW.conversation_id;
            RETURN NEW;
        END $$;
        REVOKE ALL ON FUNCTION fill_tenant_of_conversation() FROM PUBLIC;
        CREATE TRIGGER fill_tenant BEFORE INSERT ON conversation_users
            FOR EACH ROW WHEN (NEW.tenant_id IS NULL) EXECUTE FUNCTION fill_tenant_of_conversation();
        CREATE TRIGGER fill_tenant BEFORE INSERT ON conversation_agents
            FOR EACH ROW WHEN (NEW.tenant_id IS NULL) EXECUTE FUNCTION fill_tenant_of_conversation()""")


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER fill_tenant ON conversation_users;
        DROP TRIGGER fill_tenant ON conversation_agents;
        DROP FUNCTION fill_tenant_of_conversation();
        ALTER TABLE conversation_agents
            DROP COLUMN tenant_id,
            ADD CONSTRAINT conversation_agents_conversation_id_agent_id_key UNIQUE (conversation_id, agent_id),
            ADD CONSTRAINT conversation_agents_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES conversations (id);
        ALTER TABLE conversation_users
            DROP COLUMN tenant_id,
            ADD CONSTRAINT conversation_users_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES conversations (id),
            ADD CONSTRAINT conversation_users_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id);
        ALTER TABLE conversations
            DROP CONSTRAINT conversations_tenant_id_created_by_user_id_fkey,
            DROP CONSTRAINT conversations_tenant_id_id_key,
            ADD CONSTRAINT conversations_created_by_user_id_fkey FOREIGN KEY (created_by_user_id) REFERENCES users (id)""")
    bring_strangers_back()


def bring_strangers_back() -> None:
    """Unless the conversation or the person is gone by now, or the place is taken."""
    op.execute("""
        INSERT INTO conversation_users (id, conversation_id, user_id, joined_at, is_active)
        SELECT old.id, old.conversation_id, old.user_id, old.joined_at, old.is_active
        FROM legacy_notes AS note
        CROSS JOIN jsonb_to_record(note.old_value) AS old (
            id uuid, conversation_id uuid, user_id uuid, joined_at timestamptz, is_active boolean
        )
        JOIN conversations ON conversations.id = old.conversation_id
        JOIN users ON users.id = old.user_id
        WHERE note.table_name = 'conversation_users' AND note.column_name IS NULL
        ON CONFLICT DO NOTHING;

        UPDATE conversations SET created_by_user_id = users.id
        FROM legacy_notes AS note JOIN users ON users.id = CAST(note.old_value #>> '{}' AS uuid)
        WHERE note.table_name = 'conversations' AND note.column_name = 'created_by_user_id' AND note.row_id = conversations.id
            AND conversations.created_by_user_id IS NULL;

        DELETE FROM legacy_notes
        WHERE table_name = 'conversation_users' AND column_name IS NULL
            OR table_name = 'conversations' AND column_name = 'created_by_user_id'""")
