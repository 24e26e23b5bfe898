"""The table of links for a new password or an address."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Words
from portal.users.models import User


class MailLink(db.Model):  # type: ignore[name-defined]
    """A link of one account, whose secret is kept as SHA-256; `kind` is what it is for: a new password, or to confirm an e-mail address.

    `email` is the address that it was mailed to, `mailed_as` the mail in the outbox; an administrator (`made_by`) hands over one that
    was not mailed. It is dead once it is `used_at` (or was replaced then), and once the account's `auth_epoch` has gone up.
    """

    __tablename__ = "mail_links"
    __table_args__ = (
        UniqueConstraint("tenant_id", "secret_hash", name="mail_links_tenant_id_secret_hash_key"),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"], [User.tenant_id, User.id], name="mail_links_tenant_id_user_id_fkey", ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["tenant_id", "made_by"], [User.tenant_id, User.id], name="mail_links_tenant_id_made_by_fkey"),
        CheckConstraint("kind IN ('password', 'email')", name="mail_links_kind_known"),
        CheckConstraint("octet_length(secret_hash) = 32", name="mail_links_secret_whole"),
        CheckConstraint("(email IS NULL) = (made_by IS NOT NULL)", name="mail_links_mailed_or_handed_over"),
        Index("mail_links_tenant_id_user_id_idx", "tenant_id", "user_id"),
        Index("mail_links_expires_at_idx", "expires_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[Words]
    user_id: Mapped[UUID]
    secret_hash: Mapped[bytes]
    email: Mapped[Words | None]
    auth_epoch: Mapped[int]
    made_by: Mapped[UUID | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]
    mailed_as: Mapped[UUID | None]
