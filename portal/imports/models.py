"""The tables of uploaded files, kept until their import is over."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Words
from portal.users.models import User


class Upload(db.Model):  # type: ignore[name-defined]
    """A file that was uploaded, `size` in bytes; its people `become` invited, or accounts that are deactivated."""

    __tablename__ = "uploads"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "uploaded_by"], [User.tenant_id, User.id], name="uploads_tenant_id_uploaded_by_fkey"),
        CheckConstraint("become IN ('invited', 'deactivated')", name="uploads_become_known"),
        Index("uploads_expires_at_idx", "expires_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[Words]
    size: Mapped[int]
    become: Mapped[Words]
    uploaded_by: Mapped[UUID]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]


class UploadPart(db.Model):  # type: ignore[name-defined]
    """A part of a file (`kind` file), or of the list of what would become of each of its lines (`fates`), as JSON."""

    __tablename__ = "upload_parts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "upload_id"], [Upload.tenant_id, Upload.id], name="upload_parts_tenant_id_upload_id_fkey", ondelete="CASCADE"
        ),
        CheckConstraint("kind IN ('file', 'fates')", name="upload_parts_kind_known"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[Words] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bytes: Mapped[bytes]
