"""The tables of signed-in sessions, and of what is counted or done only once."""

from uuid import UUID

from sqlalchemy import Double, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Tenant, Words
from portal.users.models import User


class SignInSession(db.Model):  # type: ignore[name-defined]
    """A browser that is signed in; the cookie holds the secret, this table its SHA-256; the password was last typed at `confirmed_at`."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "user_id"], [User.tenant_id, User.id], name="sessions_tenant_id_user_id_fkey"),
        UniqueConstraint("tenant_id", "secret_hash", name="sessions_tenant_id_secret_hash_key"),
        Index("sessions_tenant_id_user_id_idx", "tenant_id", "user_id"),
        Index("sessions_expires_at_idx", "expires_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    secret_hash: Mapped[bytes]
    auth_epoch: Mapped[int]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    seen_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    confirmed_at: Mapped[Moment] = mapped_column(server_default=func.now())
    user_agent: Mapped[Words | None]
    network: Mapped[Words | None]


class RefreshToken(db.Model):  # type: ignore[name-defined]
    """The legacy system's tokens, in clear; no role of the portal may read or write them."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("token", name="refresh_tokens_token_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    token: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, name="refresh_tokens_user_id_fkey"))
    expires_at: Mapped[Moment]
    created_at: Mapped[Moment | None] = mapped_column(server_default=func.now())


class IdempotencyKey(db.Model):  # type: ignore[name-defined]
    """What a form sent twice has made the first time; `key` is the SHA-256 of the form's nonce."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_expires_at_idx", "expires_at"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, name="idempotency_keys_tenant_id_fkey"), primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    action: Mapped[Words]
    result_id: Mapped[UUID | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]


class RateLimit(db.Model):  # type: ignore[name-defined]
    """Counted attempts; the keys are hashes that name nobody, `expires` is in seconds since 1970."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    hits: Mapped[int]
    expires: Mapped[float] = mapped_column(Double)
