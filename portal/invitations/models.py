"""The table of invitations."""

from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Words
from portal.users.models import User


class Invitation(db.Model):  # type: ignore[name-defined]
    """The link of one invited account, whose secret is kept as SHA-256; sent again it has a new one, and the old link is dead.

    `line` is what the administrator wrote to go with it; `mailed_as` the latest mail in the outbox. Withdrawn it is gone, with the account
    that never was one.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "secret_hash", name="invitations_tenant_id_secret_hash_key"),
        UniqueConstraint("tenant_id", "user_id", name="invitations_tenant_id_user_id_key"),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"], [User.tenant_id, User.id], name="invitations_tenant_id_user_id_fkey", ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["tenant_id", "invited_by"], [User.tenant_id, User.id], name="invitations_tenant_id_invited_by_fkey"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    secret_hash: Mapped[bytes]
    line: Mapped[Words | None]
    invited_by: Mapped[UUID]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    mailed_as: Mapped[UUID | None]
    accepted_at: Mapped[Moment | None]
