"""The tables of conversations, and of the people and agents in them."""

from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.agents.models import Agent
from portal.extensions import db
from portal.organizations.models import Moment, Tenant
from portal.users.models import User


class Conversation(db.Model):  # type: ignore[name-defined]
    """A conversation of one organization; the legacy system says 'active', 'archived' or 'closed' for its status."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="conversations_tenant_id_id_key"),
        ForeignKeyConstraint(
            ["tenant_id", "created_by_user_id"], [User.tenant_id, User.id], name="conversations_tenant_id_created_by_user_id_fkey"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="conversations_tenant_id_fkey"))
    title: Mapped[str | None]
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None]
    created_by_user_id: Mapped[UUID | None]
    created_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    updated_at: Mapped[Moment | None]


class ConversationUser(db.Model):  # type: ignore[name-defined]
    """A person's part in a conversation."""

    __tablename__ = "conversation_users"
    __table_args__ = (
        UniqueConstraint("conversation_id", "user_id", name="_conversation_user_uc"),
        ForeignKeyConstraint(
            ["tenant_id", "conversation_id"],
            [Conversation.tenant_id, Conversation.id],
            name="conversation_users_tenant_id_conversation_id_fkey",
        ),
        ForeignKeyConstraint(["tenant_id", "user_id"], [User.tenant_id, User.id], name="conversation_users_tenant_id_user_id_fkey"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    conversation_id: Mapped[UUID]
    user_id: Mapped[UUID]
    joined_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    is_active: Mapped[bool | None] = mapped_column(default=True)
    tenant_id: Mapped[UUID]


class ConversationAgent(db.Model):  # type: ignore[name-defined]
    """An agent's part in a conversation.

    `agent_type` is the legacy system's word for it, `agent_id` the agent meant; None where a second spelling of the same agent
    stands in one conversation. `configuration` is the legacy system's text, which may be no JSON at all.
    """

    __tablename__ = "conversation_agents"
    __table_args__ = (
        UniqueConstraint("conversation_id", "agent_type", name="_conversation_agent_uc"),
        UniqueConstraint("tenant_id", "conversation_id", "agent_id", name="conversation_agents_tenant_id_conversation_id_agent_id_key"),
        ForeignKeyConstraint(
            ["tenant_id", "conversation_id"],
            [Conversation.tenant_id, Conversation.id],
            name="conversation_agents_tenant_id_conversation_id_fkey",
        ),
        Index("conversation_agents_by_agent", "tenant_id", "agent_id", "added_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    conversation_id: Mapped[UUID]
    agent_type: Mapped[str]
    added_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    is_active: Mapped[bool | None] = mapped_column(default=True)
    configuration: Mapped[str | None] = mapped_column(Text)
    agent_id: Mapped[UUID | None] = mapped_column(ForeignKey(Agent.id, name="conversation_agents_agent_id_fkey"))
    tenant_id: Mapped[UUID]
