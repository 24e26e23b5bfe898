"""The tables of acts on many accounts, and of what each did to whom."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Words
from portal.users.models import User


class BulkAct(db.Model):  # type: ignore[name-defined]
    """An act on many accounts, and the object of one entry in the audit log, which says when. `role` is what was given, None where none
    was, or several; `undoes` is the act that this one takes back.
    """

    __tablename__ = "bulk_acts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "undoes", name="bulk_acts_tenant_id_undoes_key"),
        ForeignKeyConstraint(["tenant_id", "undoes"], ["bulk_acts.tenant_id", "bulk_acts.id"], name="bulk_acts_tenant_id_undoes_fkey"),
        ForeignKeyConstraint(["tenant_id", "made_by"], [User.tenant_id, User.id], name="bulk_acts_tenant_id_made_by_fkey"),
        CheckConstraint("act IN ('role', 'deactivate', 'reactivate', 'sign_out', 'import')", name="bulk_acts_act_known"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    act: Mapped[Words]
    role: Mapped[Words | None]
    undoes: Mapped[UUID | None]
    made_by: Mapped[UUID]


class BulkChange(db.Model):  # type: ignore[name-defined]
    """Role and state of one account before an act (None where there was no account) and after it. Nobody changes or deletes it."""

    __tablename__ = "bulk_changes"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "act_id"], [BulkAct.tenant_id, BulkAct.id], name="bulk_changes_tenant_id_act_id_fkey"),
        Index("bulk_changes_by_user", "tenant_id", "user_id", "act_id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    act_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    old_role: Mapped[Words | None]
    old_state: Mapped[Words | None]
    new_role: Mapped[Words]
    new_state: Mapped[Words]
