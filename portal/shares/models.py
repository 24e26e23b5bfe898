"""The table of what organizations share with each other."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.agents.models import Agent
from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words
from portal.users.models import User


class AgentShare(db.Model):  # type: ignore[name-defined]
    """An agent that an organization offers to another one, and what became of it: offered, accepted, refused or ended.

    The partner is named by its subdomain as text, whether there is one or not; `partner` is who answered, written by itself. Names are as
    they were when the offer was made, or answered.
    """

    __tablename__ = "agent_shares"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "agent_id"],
            [Agent.owner_tenant_id, Agent.id],
            name="agent_shares_tenant_id_agent_id_fkey",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(["tenant_id", "offered_by"], [User.tenant_id, User.id], name="agent_shares_tenant_id_offered_by_fkey"),
        ForeignKeyConstraint(["partner", "decided_by"], [User.tenant_id, User.id], name="agent_shares_partner_decided_by_fkey"),
        CheckConstraint("state IN ('offered', 'accepted', 'refused', 'ended')", name="agent_shares_state_known"),
        CheckConstraint("state NOT IN ('accepted', 'refused') OR partner IS NOT NULL", name="agent_shares_answered_by_a_partner"),
        Index(
            "agent_shares_open_key",
            "tenant_id",
            "agent_id",
            "partner_subdomain",
            unique=True,
            postgresql_where=text("state IN ('offered', 'accepted')"),
        ),
        Index("agent_shares_id_idx", "id"),
        Index("agent_shares_by_partner", "partner", "agent_id", postgresql_where=text("state = 'accepted'")),
        Index("agent_shares_by_subdomain", "partner_subdomain", postgresql_where=text("state = 'offered'")),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    agent_id: Mapped[UUID]
    agent_name: Mapped[Words]
    owner_name: Mapped[Words]
    owner_subdomain: Mapped[Words]
    partner_subdomain: Mapped[Words]
    partner: Mapped[UUID | None] = mapped_column(ForeignKey(Tenant.id, name="agent_shares_partner_fkey"))
    partner_name: Mapped[Words | None]
    state: Mapped[Words] = mapped_column(server_default=text("'offered'"))
    offered_by: Mapped[UUID]
    offered_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
