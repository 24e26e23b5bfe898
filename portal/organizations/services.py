"""What people do with organizations."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal.actor import Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth import services as auth
from portal.auth.models import IdempotencyKey
from portal.database import tenancy
from portal.errors import Forbidden, Invalid
from portal.extensions import db, release, rollback
from portal.mail import services as mail
from portal.organizations.commands import RegisterOrganization
from portal.organizations.models import Tenant
from portal.users.models import Role, User
from portal.values import email_key, sort_key, username_key

NONCE_LIFE = timedelta(days=1)


@dataclass(frozen=True)
class Registered:
    """A registered organization, and the credential of its first administrator's open session."""

    tenant_id: UUID
    credential: str


def is_free(subdomain: str) -> bool:
    """Whether no organization has this subdomain now; the unique constraint decides in the end."""
    return auth.organization_id(subdomain) is None


def first_free(subdomain: str) -> str:
    """The subdomain, or with a number behind it, whichever is free; '' when it is none or ten of them are taken."""
    candidates = [subdomain, *(f"{subdomain[:60].rstrip('-')}-{number}" for number in range(2, 11))] if subdomain else []
    return next((candidate for candidate in candidates if is_free(candidate)), "")


def taken(subdomain: str) -> str:
    """The sentence for a subdomain that somebody has, with one that is free."""
    other = first_free(subdomain)
    return f"“{subdomain}” is taken. " + (f"Try “{other}”." if other else "Choose another one.")


def register(command: RegisterOrganization, *, origin: Origin, nonce: str, sign_in_url: str, is_open: bool = True) -> Registered:
    """Make the organization, its org_admin, the audit entry, the welcome mail and an open session, all or nothing.

    The same nonce with the same subdomain and password answers with the organization that it already made.
    Raises Invalid(subdomain=…) when the subdomain is taken, Forbidden when registration is closed.
    """
    if not is_open:
        raise Forbidden("Registration is closed.")
    release()
    hash_ = passwords.hashed(command.admin_password.get_secret_value())  # before a connection is taken
    try:
        return _register(command, hash_, origin, nonce, sign_in_url)
    except IntegrityError as error:
        rollback()
        if getattr(error.orig, "diag", None) is None or error.orig.diag.constraint_name != "tenants_subdomain_key":  # type: ignore[union-attr]
            raise
        return _registered_before(command, origin, nonce)


def _register(command: RegisterOrganization, hash_: str, origin: Origin, nonce: str, sign_in_url: str) -> Registered:
    tenant_id, admin_id = uuid7(), uuid7()
    tenancy.bind(tenant_id, user=admin_id, role=Role.ORG_ADMIN)
    tenant = Tenant(
        id=tenant_id,
        name=command.name,
        full_name=command.full_name,
        subdomain=command.subdomain,
        description=command.description,
        address=command.address.model_dump(exclude_none=True),
        phone=command.phone,
        organization_email=command.organization_email,
    )
    db.session.add(tenant)
    db.session.flush()  # the unique constraint speaks here
    admin = User(
        id=admin_id,
        tenant_id=tenant_id,
        role=Role.ORG_ADMIN,
        hashed_password=hash_,
        username=command.admin_username,
        username_key=username_key(command.admin_username),
        email=command.admin_email,
        email_key=email_key(command.admin_email),
        first_name=command.admin_first_name,
        last_name=command.admin_last_name,
    )
    admin.sort_key = sort_key(admin.sortable_name)
    db.session.add(admin)
    db.session.flush()
    db.session.add(IdempotencyKey(tenant_id=tenant_id, key=_key(nonce), action="register", result_id=admin_id, expires_at=datetime.now(UTC) + NONCE_LIFE))
    person = f"{command.admin_first_name} {command.admin_last_name}"
    mail.queue(
        "welcome",
        tenant_id=tenant_id,
        to=command.admin_email,
        subject=f"{command.name} is registered",
        organization=tenant,
        person=admin,
        sign_in_url=sign_in_url,
    )
    credential = auth.open_session(tenant_id, admin_id, Role.ORG_ADMIN, 0, origin)
    audit.record(
        "organization_registered",
        tenant_id=tenant_id,
        actor_id=admin_id,
        actor_name=person,
        network=origin.network,
        object_type="organization",
        object_id=tenant_id,
        changes={"name": [None, command.name], "subdomain": [None, command.subdomain]},
    )
    return Registered(tenant_id, credential)


def _registered_before(command: RegisterOrganization, origin: Origin, nonce: str) -> Registered:
    """The subdomain is taken: by this very form, sent twice, or by somebody else."""
    tenant_id = auth.organization_id(command.subdomain)
    if tenant_id is None:  # it went between the two looks
        raise Invalid(subdomain=taken(command.subdomain))
    tenancy.bind(tenant_id)
    made = select(User.id, User.role, User.hashed_password, User.auth_epoch).join(
        IdempotencyKey, (IdempotencyKey.tenant_id == User.tenant_id) & (IdempotencyKey.result_id == User.id)
    )
    admin = db.session.execute(
        made.where(User.tenant_id == tenant_id, User.is_active, IdempotencyKey.key == _key(nonce), IdempotencyKey.action == "register")
    ).first()
    release()
    if admin is None or not passwords.verified(command.admin_password.get_secret_value(), admin.hashed_password)[0]:
        raise Invalid(subdomain=taken(command.subdomain))
    tenancy.bind(tenant_id, user=admin.id, role=admin.role)
    return Registered(tenant_id, auth.open_session(tenant_id, admin.id, admin.role, admin.auth_epoch, origin))


def _key(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode()).digest()
