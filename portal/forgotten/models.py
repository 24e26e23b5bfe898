"""The table of what visitors asked to be mailed."""

from uuid import UUID

from sqlalchemy import CheckConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Words


class AskedMail(db.Model):  # type: ignore[name-defined]
    """A mail that somebody asked for, as it was typed: a link for a new password (`password`), or the `organizations` of an address.

    The web adds rows and reads none; the worker looks who is meant, so that a request is the same whether anybody is. Nobody takes it up
    before `take_after`; it is deleted once it is answered, and from `expires_at` on.
    """

    __tablename__ = "asked_mails"
    __table_args__ = (
        CheckConstraint("kind IN ('password', 'organizations')", name="asked_mails_kind_known"),
        CheckConstraint("(organization IS NULL) = (kind = 'organizations')", name="asked_mails_organization_known"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[Words]
    organization: Mapped[Words | None]
    login: Mapped[Words]
    network: Mapped[Words | None]
    take_after: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment] = mapped_column(server_default=text("now() + interval '1 hour'"))
