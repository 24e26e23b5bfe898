"""What people do with organizations."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal.account import services as account
from portal.account.services import Whom
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth import services as auth
from portal.database import tenancy
from portal.database.reading import Reading
from portal.errors import Conflict, Forbidden, Invalid
from portal.extensions import constraint_of, db, release, rollback, settings
from portal.mail import services as mail
from portal.organizations.commands import EditOrganization, RegisterOrganization
from portal.organizations.models import Tenant
from portal.users import services as users
from portal.users.models import Role
from portal.values import Address, clean_subdomain, fingerprint, known_parts

MADE_BY = text("""
    SELECT u.id, u.tenant_id, u.role, u.hashed_password, u.auth_epoch
    FROM idempotency_keys k JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.result_id JOIN tenants t ON t.id = k.tenant_id
    WHERE k.tenant_id = :tenant AND k.key = :key AND k.action = 'register' AND k.expires_at > now() AND u.is_active AND t.is_active""")


ABOUT_IT = "AND object_type = 'organization' AND changes <> '{}'"
TENANT = Reading(f"""
    SELECT id, subdomain, name, full_name, description, address, phone, organization_email, version,
           {audit.LATEST.format(about=ABOUT_IT, limit=5)} AS changes
    FROM tenants WHERE id = %(tenant)s""")


@dataclass(frozen=True)
class Registered:
    """A registered organization, and the credential of its first administrator's open session."""

    tenant_id: UUID
    credential: str


def tenant(tenant_id: UUID) -> Any:
    """What is known of the organization, to be read: id, subdomain, what it says about itself, and the latest `changes` of that."""
    return TENANT.one(tenant=tenant_id)


def refuse_when_closed() -> None:
    """Raises Forbidden where organizations do not register themselves."""
    if settings().registration == "closed":
        raise Forbidden("Registration is closed.", who_helps=settings().registration_contact or None)


def subdomain_state(typed: str) -> tuple[str, str]:
    """What is known about a subdomain that is being typed: 'free', 'taken', 'refused' or '', and the sentence for it."""
    if not typed:
        return "", ""
    try:
        subdomain = clean_subdomain(typed)
    except ValueError as fault:
        return "refused", str(fault)
    return ("free", f"“{subdomain}” is free.") if is_free(subdomain) else ("taken", taken(subdomain))


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


def register(command: RegisterOrganization, *, origin: Origin, nonce: str) -> Registered:
    """Make the organization, its org_admin, the audit entry, the welcome mail and an open session, all or nothing.

    The same nonce with the same subdomain and password answers with the organization that it already made.
    Raises Invalid(subdomain=…) when the subdomain is taken, Forbidden when registration is closed.
    """
    refuse_when_closed()
    release()
    password = passwords.hashed(command.admin_password.get_secret_value())  # before a connection is taken
    try:
        return _register(command, password, origin, nonce)
    except IntegrityError as error:
        rollback()
        if constraint_of(error) != "tenants_subdomain_key":
            raise
        return _registered_before(command, origin, nonce)


def _register(command: RegisterOrganization, password: str, origin: Origin, nonce: str) -> Registered:
    tenant_id, admin_id = uuid7(), uuid7()
    tenancy.bind(tenant_id, user=admin_id, role=Role.ORG_ADMIN)
    tenant = _new_tenant(command, tenant_id)
    admin = users.new_account(
        user_id=admin_id,
        tenant_id=tenant_id,
        role=Role.ORG_ADMIN,
        username=command.admin_username,
        email=command.admin_email,
        first_name=command.admin_first_name,
        last_name=command.admin_last_name,
        hashed_password=password,
        last_sign_in_at=datetime.now(UTC),
    )
    auth.only_once(nonce, "register", tenant_id=tenant_id, made=admin_id)
    mail.queue(
        "welcome",
        tenant_id=tenant_id,
        to=command.admin_email,
        subject=f"{command.name} is registered",
        organization=tenant,
        person=admin,
        sign_in_url=auth.sign_in_url(command.subdomain),
    )
    account.mail_confirmation(Whom(tenant_id, admin_id, command.admin_username, command.name), 0, command.admin_email)
    credential = auth.open_session(tenant_id, admin_id, Role.ORG_ADMIN, 0, origin)
    audit.record(
        "organization_registered",
        tenant_id=tenant_id,
        actor_id=admin_id,
        actor_name=admin.full_name,
        network=origin.network,
        object_type="organization",
        object_id=tenant_id,
        changes={"name": [None, command.name], "subdomain": [None, command.subdomain]},
    )
    return Registered(tenant_id, credential)


def _new_tenant(command: RegisterOrganization, tenant_id: UUID) -> Tenant:
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
    return tenant


def _registered_before(command: RegisterOrganization, origin: Origin, nonce: str) -> Registered:
    """The subdomain is taken: by this very form, sent twice, or by somebody else."""
    tenant_id = auth.organization_id(command.subdomain)
    if tenant_id is None:  # it went between the two looks
        raise Invalid(subdomain=taken(command.subdomain))
    tenancy.bind(tenant_id)
    admin = db.session.execute(MADE_BY, {"tenant": tenant_id, "key": fingerprint(nonce)}).first() if nonce else None
    release()
    if admin is None or not passwords.verified(command.admin_password.get_secret_value(), admin.hashed_password)[0]:
        raise Invalid(subdomain=taken(command.subdomain))
    return Registered(tenant_id, auth.enter(admin, origin))


FIELDS = ("name", "full_name", "description", "address", "phone", "organization_email")
TYPED_PARTS = {*Address.model_fields, "street", "state"}  # the last two are the legacy system's words


def said_of(tenant: Any) -> dict[str, Any]:
    """What the organization says about itself now, as a form shows it."""
    return {**{name: getattr(tenant, name) for name in FIELDS}, "address": known_parts(tenant.address), "version": tenant.version}


def edit(command: EditOrganization, *, by: Actor) -> Tenant:
    """Change what the organization says about itself, and write what changed into the audit log.

    Parts of the address that no form shows stay as they are. Raises Conflict when somebody saved another version meanwhile.
    """
    whose = select(Tenant).where(Tenant.id == by.tenant_id).with_for_update(key_share=True)
    tenant = db.session.execute(whose.execution_options(populate_existing=True)).scalar_one()
    if tenant.version != command.version:
        raise Conflict("Somebody else saved these settings while you were writing.")
    changes = {field: [was, becomes] for field, was, becomes in differences(tenant, command)}
    for field, (_, becomes) in changes.items():
        setattr(tenant, field, becomes)
    if changes:
        audit.record("organization_changed", tenant_id=tenant.id, by=by, object_type="organization", object_id=tenant.id, changes=changes)
    return tenant


def differences(tenant: Tenant, command: EditOrganization) -> list[tuple[str, Any, Any]]:
    """Field, what is stored and what was typed, for each field where they differ."""
    kept = {key: part for key, part in (tenant.address or {}).items() if key not in TYPED_PARTS}
    typed_address = command.address.model_dump(exclude_none=True) if command.address else {}
    typed = {name: getattr(command, name) for name in FIELDS} | {"address": {**kept, **typed_address} or None}
    stored = {name: getattr(tenant, name) for name in FIELDS}
    return [(name, stored[name], typed[name]) for name in FIELDS if stored[name] != typed[name]]
