"""The tables of what was done: the audit log, and the notes of what upgrades changed."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words


class AuditEntry(db.Model):  # type: ignore[name-defined]
    """One act; `seq` counts from 1 without gaps in each organization, `hash` covers the entry and the hash before it."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("audit_entries_tenant_id_action_at_idx", "tenant_id", "action", "at"),
        Index("audit_entries_by_object", "tenant_id", "object_id", "seq"),
        Index("audit_entries_not_refused", "tenant_id", "seq", postgresql_where=text("action <> 'refused'")),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="audit_entries_tenant_id_fkey"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[Moment]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[Words | None]
    action: Mapped[Words]
    object_type: Mapped[Words | None]
    object_id: Mapped[UUID | None]
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    network: Mapped[Words | None]
    previous_hash: Mapped[bytes | None]
    hash: Mapped[bytes]


class LegacyNote(db.Model):  # type: ignore[name-defined]
    """What an upgrade changed on a legacy row; without a column name `old_value` is the whole row, taken out."""

    __tablename__ = "legacy_notes"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    table_name: Mapped[Words]
    row_id: Mapped[UUID]
    column_name: Mapped[Words | None]
    old_value: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    new_value: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    reason: Mapped[Words]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
