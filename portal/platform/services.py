"""What is done above the organizations."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal.audit import services as audit
from portal.auth import passwords
from portal.database import tenancy
from portal.errors import Invalid
from portal.extensions import db, transaction
from portal.organizations.models import Tenant
from portal.platform.commands import CreatePlatformAccount
from portal.users.models import Role, User
from portal.values import email_key, sort_key, username_key

PLATFORM = "platform"


def create_super_admin(command: CreatePlatformAccount) -> UUID:
    """Make a super_admin in the tenant `platform`, which is made when it is missing; for the command line alone.

    Raises Invalid when username or e-mail are taken there.
    """
    hash_ = passwords.hashed(command.password.get_secret_value())
    user_id = uuid7()
    with tenancy.bound(None, user=user_id, role=Role.SUPER_ADMIN, pool="platform"):
        try:
            with transaction():
                tenant_id = _platform_tenant()
                db.session.add(_account(command, hash_, user_id, tenant_id))
                name = f"{command.first_name} {command.last_name}"
                audit.record(
                    "platform_account_created",
                    tenant_id=tenant_id,
                    actor_id=user_id,
                    actor_name=name,
                    object_type="user",
                    object_id=user_id,
                    changes={"role": [None, str(Role.SUPER_ADMIN)], "username": [None, command.username]},
                )
        except IntegrityError:
            raise Invalid("This username or e-mail is taken in the organization platform.") from None
    return user_id


def _platform_tenant() -> UUID:
    found = db.session.execute(select(Tenant.id).where(Tenant.subdomain == PLATFORM)).scalar()
    if found:
        return found
    tenant = Tenant(id=uuid7(), name="Platform", subdomain=PLATFORM)
    db.session.add(tenant)
    db.session.flush()
    return tenant.id


def _account(command: CreatePlatformAccount, hash_: str, user_id: UUID, tenant_id: UUID) -> User:
    account = User(
        id=user_id,
        tenant_id=tenant_id,
        role=Role.SUPER_ADMIN,
        hashed_password=hash_,
        username=command.username,
        username_key=username_key(command.username),
        email=command.email,
        email_key=email_key(command.email),
        first_name=command.first_name,
        last_name=command.last_name,
    )
    account.sort_key = sort_key(account.sortable_name)
    return account
