"""What people do with accounts."""

from uuid import UUID

from sqlalchemy import select

from portal.extensions import db
from portal.users.models import Role, User
from portal.values import email_key, username_key


def account(tenant_id: UUID, user_id: UUID) -> User | None:
    """The account within the tenant; None for unknown and foreign ids alike."""
    return db.session.execute(select(User).where(User.tenant_id == tenant_id, User.id == user_id)).scalar_one_or_none()


def new_account(
    *, user_id: UUID, tenant_id: UUID, role: Role, username: str, email: str, first_name: str, last_name: str, hashed_password: str
) -> User:
    """An account with the keys that it is found by, written into the running transaction."""
    user = User(
        id=user_id,
        tenant_id=tenant_id,
        role=role,
        hashed_password=hashed_password,
        username=username,
        username_key=username_key(username),
        email=email,
        email_key=email_key(email),
        first_name=first_name,
        last_name=last_name,
    )
    db.session.add(user)
    db.session.flush()
    return user
