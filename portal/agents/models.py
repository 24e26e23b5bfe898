"""The table of agents: free ones for everybody, proprietary ones of one organization."""

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words


class Agent(db.Model):  # type: ignore[name-defined]
    """An agent and its configuration; a type can be used once among the active agents of an owner."""

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("is_free_agent = (owner_tenant_id IS NULL)", name="agents_free_means_unowned"),
        Index(
            "agents_owner_tenant_id_agent_type_key",
            "owner_tenant_id",
            "agent_type",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("is_active"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    agent_type: Mapped[Words]
    name: Mapped[Words]
    description: Mapped[Words | None]
    is_free_agent: Mapped[bool]
    owner_tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, name="agents_owner_tenant_id_fkey"))
    configuration_template: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    is_active: Mapped[bool] = mapped_column(server_default=true())
