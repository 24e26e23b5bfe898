"""What people do with access codes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, null, select, text, update
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal import policy
from portal.access_codes.commands import Join, MakeCode, ShowCode
from portal.access_codes.models import AccessCode
from portal.account import services as account
from portal.account.services import Whom
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth import services as auth
from portal.auth.throttle import CodeTries
from portal.database import tenancy
from portal.errors import Conflict, Invalid
from portal.extensions import db, release, rollback, settings
from portal.mail import services as mail
from portal.users import services as users
from portal.users.models import Role, User
from portal.values import code_hash, email_key, new_code, username_key

WRONG = "The organization or the code is not right, or the code is not open any more. Ask an administrator of the organization."
OPEN = text("""
    SELECT c.id, c.label, c.needs_approval, t.name AS organization, t.subdomain FROM access_codes c JOIN tenants t ON t.id = c.tenant_id
    WHERE c.tenant_id = :tenant AND c.secret_hash = :hash AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now())
      AND (c.max_uses IS NULL OR c.uses < c.max_uses) AND t.is_active""")


@dataclass(frozen=True)
class Joined:
    """Whoever joined: the credential of an open session, or None where an administrator has to accept first."""

    organization: str
    subdomain: str
    credential: str | None


def join_url(subdomain: str) -> str:
    """Where people type an organization's code."""
    return f"{settings().public_url}/join?organization={subdomain}"


def codes(tenant_id: UUID) -> list[AccessCode]:
    """The organization's codes, the newest first, at most 200."""
    found = select(AccessCode).where(AccessCode.tenant_id == tenant_id).order_by(AccessCode.created_at.desc(), AccessCode.id).limit(200)
    return list(db.session.execute(found).scalars())


def access_code(tenant_id: UUID, code_id: UUID) -> AccessCode | None:
    """The code within the tenant; None for unknown and foreign ids alike."""
    return db.session.execute(select(AccessCode).where(AccessCode.tenant_id == tenant_id, AccessCode.id == code_id)).scalar_one_or_none()


def make(command: MakeCode, *, nonce: str, by: Actor) -> str:
    """Make a code and return it: it is shown once and kept as a hash. Raises Conflict for a form that was sent before."""
    users.demand_office(by)
    code, code_id = new_code(), uuid7()
    auth.only_once(nonce, "make_code", tenant_id=by.tenant_id, made=code_id)
    db.session.add(
        AccessCode(
            id=code_id,
            tenant_id=by.tenant_id,
            label=command.label,
            secret_hash=code_hash(code),
            needs_approval=command.needs_approval,
            max_uses=command.max_uses,
            made_by=by.id,
            expires_at=datetime.now(UTC) + timedelta(days=command.days) if command.days else None,
        )
    )
    changes = {"label": [None, command.label]}
    audit.record("code_made", tenant_id=by.tenant_id, by=by, object_type="organization", object_id=by.tenant_id, changes=changes)
    return code


def withdraw(code: AccessCode, *, by: Actor) -> None:
    """Nobody joins by this code any more."""
    if code.revoked_at is None:
        code.revoked_at = datetime.now(UTC)
        changes = {"label": [code.label, None]}
        audit.record("code_withdrawn", tenant_id=by.tenant_id, by=by, object_type="organization", object_id=by.tenant_id, changes=changes)


def preview(command: ShowCode, *, origin: Origin) -> Any:
    """What a code opens: organization, and whether it needs approval. Raises Invalid with one sentence for all that is wrong, TooMany."""
    tries = CodeTries(command.organization.lower(), origin.network)
    tries.count()
    found = _open(command)
    if found is None:
        raise Invalid(WRONG)
    tries.succeeded()
    return found


def _open(command: ShowCode) -> Any:
    tenant = auth.organization_id(command.organization.lower()) or uuid4()  # an id that no tenant has: the same work for unknown ones
    tenancy.bind(tenant)
    found = db.session.execute(OPEN, {"tenant": tenant, "hash": code_hash(command.code)}).mappings().first()
    return {**found, "tenant": tenant} if found else None


def join(command: Join, *, origin: Origin) -> Joined:
    """Become a user by a code: at once, or waiting for an administrator.

    Raises Invalid where the code does not open (of several who take its last use at once, one succeeds), or beside username and email.
    """
    found = preview(command, origin=origin)
    release()  # no connection is held while hashing
    password = passwords.hashed(command.password.get_secret_value())
    tenant, user_id = found["tenant"], uuid7()
    tenancy.bind(tenant, user=user_id, role=Role.USER)
    if _take_one_use(tenant, found["id"]) is None:
        raise Invalid(WRONG)
    now, waits = datetime.now(UTC), found["needs_approval"]
    user = User(
        id=user_id,
        tenant_id=tenant,
        role=Role.USER,
        first_name=command.first_name,
        last_name=command.last_name,
        username=command.username,
        username_key=username_key(command.username),
        email=command.email,
        email_key=email_key(command.email),
        hashed_password=password,
        is_active=not waits,
        accepted_at=null() if waits else now,
        last_sign_in_at=None if waits else now,
    )
    db.session.add(user)
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        field = users.taken(error)
        if field is None:
            raise
        raise Invalid(fields={field: "Somebody in this organization has it already. Choose another one, or sign in."}) from None
    account.mail_confirmation(Whom(tenant, user_id, command.username, found["organization"]), 0, command.email)
    credential = None if waits else auth.open_session(tenant, user_id, Role.USER, 0, origin)
    audit.record(
        "joined_by_code",
        tenant_id=tenant,
        actor_id=user_id,
        actor_name=user.full_name,
        network=origin.network,
        object_type="user",
        object_id=user_id,
        changes={"code": [None, found["label"]]},
    )
    return Joined(found["organization"], found["subdomain"], credential)


def _take_one_use(tenant: UUID, code_id: UUID) -> UUID | None:
    """One statement counts and decides, so that the last use of a code is one person's."""
    open_ = (
        AccessCode.tenant_id == tenant,
        AccessCode.id == code_id,
        AccessCode.revoked_at.is_(None),
        (AccessCode.expires_at.is_(None)) | (AccessCode.expires_at > func.now()),
        (AccessCode.max_uses.is_(None)) | (AccessCode.uses < AccessCode.max_uses),
    )
    return db.session.execute(update(AccessCode).where(*open_).values(uses=AccessCode.uses + 1).returning(AccessCode.id)).scalar()


def accept(user: User, *, by: Actor) -> None:
    """Let somebody who joined by a code in. Raises Invalid with the rule, Conflict where somebody else decided meanwhile."""
    user = _waiting(user, by)
    user.accepted_at, user.is_active = datetime.now(UTC), True
    audit.record("newcomer_accepted", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id)


def refuse(user: User, *, by: Actor) -> None:
    """Turn somebody who joined by a code away; nothing of the account stays, and no mail waits for it. Raises as `accept`."""
    user_id = _waiting(user, by).id
    mail.forget(user_id, "the newcomer was turned away")
    db.session.execute(delete(User).where(User.tenant_id == by.tenant_id, User.id == user_id, User.accepted_at.is_(None)))
    audit.record("newcomer_refused", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user_id)


def _waiting(user: User, by: Actor) -> User:
    users.demand_allowed(policy.manages_access_codes(by))
    users.demand_office(by)
    fresh = users.lock_account(by.tenant_id, user.id)
    if fresh is None or fresh.state != "waiting":
        raise Conflict("Somebody decided about this account already.")
    return fresh
