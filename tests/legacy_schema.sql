-- A database of the legacy system as an upgrade finds it: the six tables that the portal takes over, and the neighbours that it leaves alone.
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
  first_name varchar, last_name varchar,
  is_active boolean, is_verified boolean,
  role varchar,
  tenant_id uuid NOT NULL REFERENCES tenants(id),
  created_at timestamptz DEFAULT now(), updated_at timestamptz,
  CONSTRAINT _email_tenant_uc UNIQUE (email, tenant_id),
  CONSTRAINT _username_tenant_uc UNIQUE (username, tenant_id)
);
CREATE TABLE refresh_tokens (
  id uuid PRIMARY KEY, token varchar NOT NULL UNIQUE,
  user_id uuid NOT NULL REFERENCES users(id), expires_at timestamptz NOT NULL, created_at timestamptz DEFAULT now()
);
CREATE TABLE conversations (
  id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants(id),
  title varchar, description text, status varchar,
  created_by_user_id uuid REFERENCES users(id),
  created_at timestamptz DEFAULT now(), updated_at timestamptz
);
CREATE TABLE conversation_users (
  id uuid PRIMARY KEY, conversation_id uuid NOT NULL REFERENCES conversations(id), user_id uuid NOT NULL REFERENCES users(id),
  joined_at timestamptz DEFAULT now(), is_active boolean,
  CONSTRAINT _conversation_user_uc UNIQUE (conversation_id, user_id)
);
CREATE TABLE conversation_agents (
  id uuid PRIMARY KEY, conversation_id uuid NOT NULL REFERENCES conversations(id),
  agent_type varchar NOT NULL,
  added_at timestamptz DEFAULT now(), is_active boolean,
  configuration text,
  CONSTRAINT _conversation_agent_uc UNIQUE (conversation_id, agent_type)
);
-- Neighbours
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
CREATE TABLE participants (
  id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants(id), participant_type varchar NOT NULL, identifier varchar NOT NULL,
  name varchar, additional_data text, created_at timestamptz DEFAULT now(), updated_at timestamptz,
  CONSTRAINT _identifier_tenant_uc UNIQUE (identifier, tenant_id)
);
CREATE INDEX ix_participants_identifier ON participants (identifier);
CREATE TABLE conversation_participants (
  id uuid PRIMARY KEY, conversation_id uuid NOT NULL REFERENCES conversations(id), participant_id uuid NOT NULL REFERENCES participants(id),
  joined_at timestamptz DEFAULT now(), left_at timestamptz, is_active boolean,
  CONSTRAINT _conversation_participant_uc UNIQUE (conversation_id, participant_id)
);
CREATE TABLE messages (
  id uuid PRIMARY KEY, conversation_id uuid NOT NULL REFERENCES conversations(id), message_type varchar, content text NOT NULL,
  user_id uuid REFERENCES users(id), agent_type varchar, participant_id uuid REFERENCES participants(id),
  additional_data text, created_at timestamptz DEFAULT now(), updated_at timestamptz
);
CREATE TABLE usage_records (
  id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants(id), user_id uuid REFERENCES users(id),
  usage_type varchar NOT NULL,
  amount integer NOT NULL, conversation_id uuid REFERENCES conversations(id),
  service_provider varchar, model_name varchar, cost_cents integer, additional_data json, created_at timestamptz DEFAULT now()
);
CREATE TABLE system_metrics (
  id uuid PRIMARY KEY, metric_type varchar NOT NULL, value integer NOT NULL, tenant_id uuid REFERENCES tenants(id),
  additional_data json, created_at timestamptz DEFAULT now()
);
