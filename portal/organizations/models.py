"""The table of organizations."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Text, UniqueConstraint, event, func, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, object_session
from uuid_utils.compat import uuid7

from portal.extensions import db

Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Words = Annotated[str, mapped_column(Text)]


class Tenant(db.Model):  # type: ignore[name-defined]
    """An organization: the boundary that everything else stays within."""

    __tablename__ = "tenants"
    __table_args__ = (
        UniqueConstraint("subdomain", name="tenants_subdomain_key"),
        CheckConstraint("subdomain ~ '^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$'", name="tenants_subdomain_form"),
        CheckConstraint("subdomain <> 'platform' OR is_active", name="tenants_platform_stays"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    subdomain: Mapped[str]
    is_active: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    updated_at: Mapped[Moment | None]
    full_name: Mapped[Words | None]
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    phone: Mapped[Words | None]
    organization_email: Mapped[Words | None]
    description: Mapped[Words | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))

    __mapper_args__ = {"version_id_col": version}


def touch(_mapper: Any, _connection: Any, row: Any) -> None:
    """Note when people changed a row; plain updates (sign-in times, epochs) pass this by, as they pass by the version."""
    session = object_session(row)
    if session is not None and session.is_modified(row, include_collections=False):
        row.updated_at = datetime.now(UTC)


event.listen(Tenant, "before_update", touch)
