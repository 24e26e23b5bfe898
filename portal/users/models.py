"""The table of people's accounts, and the four roles."""

import enum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Dialect, ForeignKey, String, Text, TypeDecorator, UniqueConstraint, event, false, func, text, true
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words, touch
from portal.values import full_name


class Role(enum.StrEnum):
    """What an account may do, weakest first; portal/policy.py says what follows from it."""

    USER = "user"
    ORG_ADMIN = "org_admin"
    ADMIN = "admin"
    SUPER_ADMIN = "super_admin"


class RoleText(TypeDecorator[Role]):
    """A role, kept as the legacy system's text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else Role(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> Role | None:
        return None if value is None else Role(value)


class User(db.Model):  # type: ignore[name-defined]
    """A person's account in one organization.

    Of legacy twins, accounts that differ by upper and lower case only, the oldest has the key; the others have None.
    `theme`, `time_zone` (IANA) and `density` are None while the person has chosen nothing. `pending_email` waits to be confirmed.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email", "tenant_id", name="_email_tenant_uc"),
        UniqueConstraint("username", "tenant_id", name="_username_tenant_uc"),
        UniqueConstraint("tenant_id", "id", name="users_tenant_id_id_key"),
        UniqueConstraint("tenant_id", "email_key", name="users_tenant_id_email_key_key"),
        UniqueConstraint("tenant_id", "username_key", name="users_tenant_id_username_key_key"),
        CheckConstraint("role IN ('user', 'org_admin', 'admin', 'super_admin')", name="users_role_known"),
        CheckConstraint("theme IN ('light', 'dark', 'system')", name="users_theme_known"),
        CheckConstraint("density IN ('comfortable', 'compact')", name="users_density_known"),
        CheckConstraint("(pending_email IS NULL) = (pending_email_at IS NULL)", name="users_pending_email_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str]
    username: Mapped[str]
    hashed_password: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=true())
    is_verified: Mapped[bool] = mapped_column(server_default=false())
    role: Mapped[Role] = mapped_column(RoleText, server_default=text("'user'"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="users_tenant_id_fkey"))
    created_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    updated_at: Mapped[Moment | None]
    email_key: Mapped[Words | None]
    username_key: Mapped[Words | None]
    sort_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    last_sign_in_at: Mapped[Moment | None]
    auth_epoch: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    theme: Mapped[Words | None]
    time_zone: Mapped[Words | None]
    density: Mapped[Words | None]
    pending_email: Mapped[Words | None]
    pending_email_at: Mapped[Moment | None]

    __mapper_args__ = {"version_id_col": version}

    @property
    def full_name(self) -> str:
        return full_name(self.first_name, self.last_name, self.username)

    @property
    def sortable_name(self) -> str:
        """What the sort_key is made from: last name first; the username where neither name is known."""
        return " ".join(filter(None, (self.last_name, self.first_name))).strip() or self.username


event.listen(User, "before_update", touch)
