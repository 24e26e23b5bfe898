"""The tables of agents: free and proprietary ones, their versions, drafts of versions, and what organizations switched off."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    cast,
    event,
    func,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words, touch
from portal.users.models import User

SAID, CAN = "agent_search_text(sort_key, agent_type, description)", "agent_capability_text(capabilities)"


class WrittenJson(UserDefinedType[str]):
    """A JSON document as its text: what was accepted comes back exactly, order, numbers and white space included."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: Any) -> Any:
        return cast(column, Text)


class Agent(db.Model):  # type: ignore[name-defined]
    """An agent and its configuration; a type can be used once among the active agents of an owner.

    The row says what is published; of an agent that is not (`published_version` is None), what was saved last. `version` is the number
    of the version that was saved last. `is_enabled` is the owner's own switch; one that is not `is_active` was withdrawn, and only its
    owner still sees it. `capabilities` are short phrases. `created_by` is who made it, None for what the portal brought along or the
    legacy system had. A clone knows its original (`origin_agent_id`), the original's version that it was last compared with, and what
    that version said. `search_text` and `capability_text` are what a search looks through, None where that is too long for an index;
    the index of fragments, agents_by_grams, is made by the revision alone.
    """

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("is_free_agent = (owner_tenant_id IS NULL)", name="agents_free_means_unowned"),
        CheckConstraint("agent_type ~ '^[A-Z][A-Z0-9_]{2,63}$'", name="agents_agent_type_form"),
        CheckConstraint("octet_length(configuration_template::text) <= 65536", name="agents_configuration_within"),
        CheckConstraint("published_version BETWEEN 1 AND version", name="agents_published_is_a_version"),
        UniqueConstraint("owner_tenant_id", "id", name="agents_owner_tenant_id_id_key"),
        ForeignKeyConstraint(["owner_tenant_id", "created_by"], [User.tenant_id, User.id], name="agents_owner_tenant_id_created_by_fkey"),
        Index(
            "agents_owner_tenant_id_agent_type_key",
            "owner_tenant_id",
            "agent_type",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("is_active"),
        ),
        Index(
            "agents_by_name",
            "owner_tenant_id",
            "sort_key",
            "id",
            postgresql_include=["is_free_agent", "is_active", "is_enabled", "published_version"],
        ),
        Index(
            "agents_by_text",
            "owner_tenant_id",
            "sort_key",
            "id",
            postgresql_include=["is_active", "is_enabled", "published_version", "search_text", "capability_text"],
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    agent_type: Mapped[Words]
    name: Mapped[Words]
    description: Mapped[Words | None]
    is_free_agent: Mapped[bool]
    owner_tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, name="agents_owner_tenant_id_fkey"))
    configuration: Mapped[str] = mapped_column("configuration_template", WrittenJson, server_default=text("'{}'::json"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    is_active: Mapped[bool] = mapped_column(server_default=true())
    capabilities: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    is_enabled: Mapped[bool] = mapped_column(server_default=true())
    sort_key: Mapped[str] = mapped_column(Text(collation="C"), server_default=text("''"))
    updated_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_by: Mapped[UUID | None]
    published_version: Mapped[int | None]
    origin_agent_id: Mapped[UUID | None]
    origin_version: Mapped[int | None]
    origin_content: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    search_text: Mapped[str | None] = mapped_column(
        Text(collation="C"),
        Computed(f"CASE WHEN octet_length({SAID}) <= 1200 THEN {SAID} ELSE NULL::text END", persisted=True),
        deferred=True,
    )
    capability_text: Mapped[str | None] = mapped_column(
        Text(collation="C"), Computed(f"CASE WHEN octet_length({CAN}) <= 500 THEN {CAN} ELSE NULL::text END", persisted=True), deferred=True
    )


event.listen(Agent, "before_update", touch)


class AgentVersion(db.Model):  # type: ignore[name-defined]
    """What an agent was saved as, by whom and when; `owner_tenant_id` is the agent's. Versions are never changed.

    `saved_by` is None for what came with the portal or an upgrade.
    """

    __tablename__ = "agent_versions"
    __table_args__ = (
        ForeignKeyConstraint(["agent_id"], [Agent.id], name="agent_versions_agent_id_fkey", ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["owner_tenant_id", "agent_id"],
            [Agent.owner_tenant_id, Agent.id],
            name="agent_versions_owner_tenant_id_agent_id_fkey",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["owner_tenant_id", "saved_by"], [User.tenant_id, User.id], name="agent_versions_owner_tenant_id_saved_by_fkey"
        ),
        CheckConstraint("octet_length(configuration::text) <= 65536", name="agent_versions_configuration_within"),
    )

    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_tenant_id: Mapped[UUID | None]
    name: Mapped[Words]
    agent_type: Mapped[Words]
    description: Mapped[Words | None]
    capabilities: Mapped[list[str]] = mapped_column(ARRAY(Text))
    configuration: Mapped[str] = mapped_column(WrittenJson)
    saved_by: Mapped[UUID | None]
    saved_at: Mapped[Moment] = mapped_column(server_default=func.now())
    comment: Mapped[Words | None]
    restored_from: Mapped[int | None]


class AgentDraft(db.Model):  # type: ignore[name-defined]
    """What a person was typing about an agent, or about one to be made (`agent_id` is None), field by field; seen by nobody else."""

    __tablename__ = "agent_drafts"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "user_id"], [User.tenant_id, User.id], name="agent_drafts_tenant_id_user_id_fkey"),
        ForeignKeyConstraint(["agent_id"], [Agent.id], name="agent_drafts_agent_id_fkey", ondelete="CASCADE"),
        CheckConstraint("octet_length(typed::text) <= 524288", name="agent_drafts_within"),
        Index("agent_drafts_whose_key", "tenant_id", "user_id", "agent_id", unique=True, postgresql_nulls_not_distinct=True),
        Index("agent_drafts_agent_id_idx", "agent_id"),
        Index("agent_drafts_expires_at_idx", "expires_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    agent_id: Mapped[UUID | None]
    typed: Mapped[dict[str, Any]] = mapped_column(JSON)
    saved_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]


class TenantAgent(db.Model):  # type: ignore[name-defined]
    """Whether a free agent is on for an organization; without a row it is."""

    __tablename__ = "tenant_agents"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "changed_by"], [User.tenant_id, User.id], name="tenant_agents_tenant_id_changed_by_fkey"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="tenant_agents_tenant_id_fkey"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey(Agent.id, name="tenant_agents_agent_id_fkey", ondelete="CASCADE"), primary_key=True)
    is_on: Mapped[bool]
    changed_by: Mapped[UUID]
    changed_at: Mapped[Moment] = mapped_column(server_default=func.now())
