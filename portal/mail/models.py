"""The table of mails that wait to be sent, or were."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words

OVER = "sent_at IS NOT NULL OR failed_at IS NOT NULL"


class OutboxMail(db.Model):  # type: ignore[name-defined]
    """A mail, written in the transaction that causes it; sent, or given up, by the worker.

    Nobody takes it up before `send_after`, and what has the earliest goes first: at first a moment in the past, the earlier the sooner
    the mail is of no more use; then the end of a pause after a try that failed, or of the lease of the worker that sends it now. From
    `expires_at` on it is of no more use and is not sent. Once it is `sent_at` or given up (`failed_at`, with the reason in
    `last_error`) its text is gone, because it may hold a secret; the rest is kept for 30 days, but for the `recipient` once that
    account was removed.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("sent_at IS NULL OR failed_at IS NULL", name="outbox_one_end"),
        CheckConstraint(f"recipient IS NOT NULL OR {OVER}", name="outbox_recipient_until_the_end"),
        CheckConstraint(
            f"(body_text IS NULL) = ({OVER}) AND (body_text IS NOT NULL OR body_html IS NULL)", name="outbox_text_goes_at_the_end"
        ),
        Index("outbox_waiting_idx", "send_after", postgresql_where=text("sent_at IS NULL AND failed_at IS NULL")),
        Index("outbox_expires_at_idx", "expires_at", postgresql_where=text("sent_at IS NULL AND failed_at IS NULL")),
        Index("outbox_over_idx", text("COALESCE(sent_at, failed_at)"), postgresql_where=text(OVER)),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="outbox_tenant_id_fkey"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    message_id: Mapped[Words]
    recipient: Mapped[Words | None]
    subject: Mapped[Words]
    body_text: Mapped[Words | None]
    body_html: Mapped[Words | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    send_after: Mapped[Moment] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    sent_at: Mapped[Moment | None]
    failed_at: Mapped[Moment | None]
    last_error: Mapped[Words | None]
