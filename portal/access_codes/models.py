"""The table of access codes."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words
from portal.users.models import User


class AccessCode(db.Model):  # type: ignore[name-defined]
    """A code, kept as SHA-256, by which people join as users; `max_uses` and `expires_at` are None where there is no such end.

    With `needs_approval` whoever joined waits until an administrator accepts. `made_by` is None for the legacy system's codes.
    """

    __tablename__ = "access_codes"
    __table_args__ = (
        UniqueConstraint("tenant_id", "secret_hash", name="access_codes_tenant_id_secret_hash_key"),
        ForeignKeyConstraint(["tenant_id", "made_by"], [User.tenant_id, User.id], name="access_codes_tenant_id_made_by_fkey"),
        CheckConstraint("uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)", name="access_codes_uses_within"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="access_codes_tenant_id_fkey"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    label: Mapped[Words]
    secret_hash: Mapped[bytes]
    needs_approval: Mapped[bool]
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(server_default=text("0"))
    made_by: Mapped[UUID | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]

    @property
    def state(self) -> Literal["open", "withdrawn", "over", "used up"]:
        """Whether people can join by it now, and if not why; for screens, while OPEN of its services decides."""
        if self.revoked_at:
            return "withdrawn"
        if self.expires_at and self.expires_at <= datetime.now(UTC):
            return "over"
        return "used up" if self.max_uses is not None and self.uses >= self.max_uses else "open"
