"""The tables of agents: free ones for everybody, proprietary ones of one organization, and what organizations switched off."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, cast, event, func, text, true
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words, touch
from portal.users.models import User


class WrittenJson(UserDefinedType[str]):
    """A JSON document as its text: what was accepted comes back exactly, order, numbers and white space included."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: Any) -> Any:
        return cast(column, Text)


class Agent(db.Model):  # type: ignore[name-defined]
    """An agent and its configuration; a type can be used once among the active agents of an owner.

    `is_enabled` is the owner's own switch; one that is not `is_active` was withdrawn, and only its owner still sees it. `capabilities`
    are short phrases. `created_by` is who made it, None for what the portal brought along or the legacy system had.
    """

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("is_free_agent = (owner_tenant_id IS NULL)", name="agents_free_means_unowned"),
        CheckConstraint("agent_type ~ '^[A-Z][A-Z0-9_]{2,63}$'", name="agents_agent_type_form"),
        CheckConstraint("octet_length(configuration_template::text) <= 65536", name="agents_configuration_within"),
        ForeignKeyConstraint(["owner_tenant_id", "created_by"], [User.tenant_id, User.id], name="agents_owner_tenant_id_created_by_fkey"),
        Index(
            "agents_owner_tenant_id_agent_type_key",
            "owner_tenant_id",
            "agent_type",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("is_active"),
        ),
        Index("agents_by_name", "owner_tenant_id", "sort_key", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    agent_type: Mapped[Words]
    name: Mapped[Words]
    description: Mapped[Words | None]
    is_free_agent: Mapped[bool]
    owner_tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, name="agents_owner_tenant_id_fkey"))
    configuration_template: Mapped[str] = mapped_column(WrittenJson, server_default=text("'{}'::json"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    is_active: Mapped[bool] = mapped_column(server_default=true())
    capabilities: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    is_enabled: Mapped[bool] = mapped_column(server_default=true())
    sort_key: Mapped[str] = mapped_column(Text(collation="C"), server_default=text("''"))
    updated_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_by: Mapped[UUID | None]

    __mapper_args__ = {"version_id_col": version}


event.listen(Agent, "before_update", touch)


class TenantAgent(db.Model):  # type: ignore[name-defined]
    """Whether a free agent is on for an organization; without a row it is."""

    __tablename__ = "tenant_agents"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "changed_by"], [User.tenant_id, User.id], name="tenant_agents_tenant_id_changed_by_fkey"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="tenant_agents_tenant_id_fkey"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey(Agent.id, name="tenant_agents_agent_id_fkey"), primary_key=True)
    is_on: Mapped[bool]
    changed_by: Mapped[UUID]
    changed_at: Mapped[Moment] = mapped_column(server_default=func.now())
