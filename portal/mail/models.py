"""The table of mails that wait to be sent, or were."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words


class OutboxMail(db.Model):  # type: ignore[name-defined]
    """A mail, written in the transaction that causes it; the worker sends it after `send_after`."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_waiting_idx", "send_after", postgresql_where=text("sent_at IS NULL AND failed_at IS NULL")),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="outbox_tenant_id_fkey"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    recipient: Mapped[Words]
    subject: Mapped[Words]
    body_text: Mapped[Words]
    body_html: Mapped[Words | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    send_after: Mapped[Moment] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    sent_at: Mapped[Moment | None]
    failed_at: Mapped[Moment | None]
    last_error: Mapped[Words | None]
