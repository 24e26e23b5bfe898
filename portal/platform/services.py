"""What is done above the organizations."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal.audit import services as audit
from portal.auth import passwords
from portal.database import tenancy
from portal.errors import Invalid
from portal.extensions import db
from portal.organizations.models import Tenant
from portal.platform.commands import CreatePlatformAccount
from portal.users import services as users
from portal.users.models import Role

PLATFORM = "platform"


def create_super_admin(command: CreatePlatformAccount) -> UUID:
    """Make a super_admin in the tenant `platform`, which is made when it is missing; for the command line, which commits.

    Raises Invalid when username or e-mail are taken there.
    """
    password = passwords.hashed(command.password.get_secret_value())
    user_id = uuid7()
    tenancy.bind(None, user=user_id, role=Role.SUPER_ADMIN, pool="platform")
    tenant_id = _platform_tenant()
    try:
        person = command.model_dump(exclude={"password"})
        user = users.new_account(user_id=user_id, tenant_id=tenant_id, role=Role.SUPER_ADMIN, hashed_password=password, **person)
    except IntegrityError as error:
        if users.taken(error) is None:
            raise
        raise Invalid("This username or e-mail is taken in the organization platform.") from None
    audit.record(
        "platform_account_created",
        tenant_id=tenant_id,
        actor_id=user_id,
        actor_name=user.full_name,
        object_type="user",
        object_id=user_id,
        changes={"role": [None, str(Role.SUPER_ADMIN)], "username": [None, command.username]},
    )
    return user_id


def _platform_tenant() -> UUID:
    found = db.session.execute(select(Tenant.id).where(Tenant.subdomain == PLATFORM)).scalar()
    if found:
        return found
    tenant = Tenant(id=uuid7(), name="Platform", subdomain=PLATFORM)
    db.session.add(tenant)
    db.session.flush()
    return tenant.id
