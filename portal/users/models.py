"""The table of people's accounts, and the four roles."""

import enum
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Dialect,
    ForeignKey,
    Index,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    false,
    func,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words, touch
from portal.values import folded, full_name, sort_key


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


# The columns that the table of users is sorted by, each with what makes the order total; removed accounts stand in none of them.
# CASE and not coalesce(), which row level security keeps from any index.
ORDERS = {
    "name": ("sort_key",),
    "username": ("(CASE WHEN (username_key IS NULL) THEN ''::text ELSE username_key END)",),
    "email": ("(CASE WHEN (email_key IS NULL) THEN ''::text ELSE email_key END)",),
    "role": ("role", "sort_key"),
    "state": ("state", "sort_key"),
    "verified": ("is_verified", "sort_key"),
    "last_sign_in": ("(CASE WHEN (last_sign_in_at IS NULL) THEN '-infinity'::timestamp with time zone ELSE last_sign_in_at END)",),
    "since": ("(CASE WHEN (created_at IS NULL) THEN '-infinity'::timestamp with time zone ELSE created_at END)",),
}
STATE = """
    CASE WHEN removed_at IS NOT NULL THEN 'removed' WHEN accepted_at IS NULL AND hashed_password IS NULL THEN 'invited'
         WHEN accepted_at IS NULL THEN 'waiting' WHEN is_active THEN 'active' ELSE 'deactivated' END"""
# The rules by which a username and an address are one account's, the legacy system's and ours: the field that each is about.
TAKEN = {
    "_username_tenant_uc": "username", "users_tenant_id_username_key_key": "username",
    "_email_tenant_uc": "email", "users_tenant_id_email_key_key": "email",
}  # fmt: skip
ERASED = "first_name, last_name, username, username_key, email, email_key, hashed_password, search_text, pending_email"
NOT_REMOVED = text("removed_at IS NULL")
COUNTED = {"last_sign_in": ["last_sign_in_at"]}  # what an index holds besides its order, to count without looking at the rows


class UserCount(db.Model):  # type: ignore[name-defined]
    """How many accounts an organization has, of a role, state and confirmed addresses, and by the day of their last sign-in.

    Written by triggers of `users` alone, true in every snapshot. A row is what a statement added (`number` may be negative) or a sum of
    such (`is_folded`). Those with the first three sum up to all accounts; those with `signed_in_on`, a day in UTC or '-infinity' for
    never, to all that were not removed. Of days more than 120 days ago a sum may be that of their year, under its first day.
    """

    __tablename__ = "user_counts"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(role, state, is_verified) = CASE WHEN signed_in_on IS NULL THEN 3 ELSE 0 END", name="user_counts_by_kind_or_day"
        ),
        Index("user_counts_by_day", "tenant_id", "signed_in_on", postgresql_include=["number"]),
        Index("user_counts_to_be_folded", "tenant_id", postgresql_where=text("NOT is_folded")),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    role: Mapped[Words | None]
    state: Mapped[Words | None]
    is_verified: Mapped[bool | None]
    signed_in_on: Mapped[date | None]
    number: Mapped[int] = mapped_column(BigInteger)
    is_folded: Mapped[bool] = mapped_column(server_default=false())


class User(db.Model):  # type: ignore[name-defined]
    """A person's account in one organization.

    Of legacy twins, accounts that differ by upper and lower case only, the oldest has the key; the others have None.
    `theme`, `time_zone` (IANA), `density`, `table_columns` (names, separated by commas) and `table_rows` are None while the person has
    chosen nothing. `pending_email` waits to be confirmed. `accepted_at` is None for somebody who was invited and has not accepted yet (such
    an account has an address, but no password), or who joined by a code and waits to be accepted. `removed_at` says when an account was
    erased: names, username, address and password are then None. `state` follows from all that: active, deactivated, invited, waiting or
    removed. `search_text` is what a search looks through; its index, users_by_grams, is made by the revision alone.
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
        CheckConstraint("table_rows IN (25, 50, 100)", name="users_table_rows_known"),
        CheckConstraint("NOT is_active OR accepted_at IS NOT NULL AND removed_at IS NULL", name="users_inactive_unless_accepted"),
        CheckConstraint("removed_at IS NOT NULL OR email IS NOT NULL", name="users_known_unless_removed"),
        CheckConstraint(
            "removed_at IS NOT NULL OR accepted_at IS NULL OR username IS NOT NULL AND hashed_password IS NOT NULL",
            name="users_named_once_accepted",
        ),
        CheckConstraint(f"removed_at IS NULL OR num_nonnulls({ERASED}) = 0", name="users_erased_when_removed"),
        *(
            Index(
                f"users_by_{name}", "tenant_id", *map(text, order), "id", postgresql_where=NOT_REMOVED, postgresql_include=COUNTED.get(name)
            )
            for name, order in ORDERS.items()
        ),
        *(
            Index(name, "tenant_id", "sort_key", "id", postgresql_where=text(f"removed_at IS NULL AND last_sign_in_at IS {null}"))
            for name, null in {"users_never_signed_in": "NULL", "users_signed_in": "NOT NULL"}.items()
        ),
        Index("users_by_email_key", "email_key", postgresql_where=text("is_active")),
        Index("users_removed", "tenant_id", "removed_at", "id", postgresql_where=text("removed_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str | None]
    username: Mapped[str | None]
    hashed_password: Mapped[str | None]
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
    sort_key: Mapped[str] = mapped_column(Text(collation="C"), server_default=text("''"))
    last_sign_in_at: Mapped[Moment | None]
    auth_epoch: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    theme: Mapped[Words | None]
    time_zone: Mapped[Words | None]
    density: Mapped[Words | None]
    pending_email: Mapped[Words | None]
    pending_email_at: Mapped[Moment | None]
    search_text: Mapped[str | None] = mapped_column(Text(collation="C"))
    accepted_at: Mapped[Moment | None] = mapped_column(server_default=func.now())
    removed_at: Mapped[Moment | None]
    table_columns: Mapped[Words | None]
    table_rows: Mapped[int | None]
    state: Mapped[Words] = mapped_column(Computed(STATE, persisted=True))

    __mapper_args__ = {"version_id_col": version}

    @property
    def full_name(self) -> str:
        """First and last name, else username, else address; of an account that was erased "Removed user"."""
        return full_name(self.first_name, self.last_name, self.username or self.email or "Removed user")


def keys_of(
    *, first_name: str | None = None, last_name: str | None = None, username: str | None = None, email: str | None = None
) -> dict[str, str | None]:
    """What an account is sorted and searched by: last name first; the username, or the address, where neither name is known."""
    names = " ".join(filter(None, (last_name, first_name))).strip()
    searched = " ".join(filter(None, (first_name, last_name, username, email)))
    return {"sort_key": sort_key(names or username or email or ""), "search_text": folded(searched) or None}


def take_keys(_mapper: Any, _connection: Any, user: User) -> None:
    """The keys follow what people typed, wherever it is changed."""
    keys = keys_of(first_name=user.first_name, last_name=user.last_name, username=user.username, email=user.email)
    for name, key in keys.items():
        if getattr(user, name) != key:
            setattr(user, name, key)


event.listen(User, "before_insert", take_keys)
event.listen(User, "before_update", take_keys)
event.listen(User, "before_update", touch)
