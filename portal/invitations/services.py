"""What people do with invitations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, func, null, select, text, update
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth import services as auth
from portal.auth.throttle import Unasked
from portal.database import tenancy
from portal.database.reading import add_rows
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db, release, rollback, settings
from portal.invitations.commands import Accept, Invite, SendAgain, addresses_in
from portal.invitations.models import Invitation
from portal.mail import services as mail
from portal.users import services as users
from portal.users.models import Role, User
from portal.values import clean_email, credential_parts, email_key, new_credential, username_key

DEAD = "This link does not work: it was used, withdrawn or replaced, or its time is over. Ask whoever invited you for a new one."
LIFE = timedelta(days=7)  # where nobody says otherwise
OPEN = text("""
    SELECT i.id, i.user_id, i.line, i.expires_at, u.email, u.role, u.first_name, u.last_name, t.name AS organization, t.subdomain,
           inviter.first_name AS inviter_first_name, inviter.last_name AS inviter_last_name, inviter.username AS inviter_username
    FROM invitations i
    JOIN users u ON u.tenant_id = i.tenant_id AND u.id = i.user_id
    JOIN users inviter ON inviter.tenant_id = i.tenant_id AND inviter.id = i.invited_by
    JOIN tenants t ON t.id = i.tenant_id
    WHERE i.tenant_id = :tenant AND i.secret_hash = :hash AND i.accepted_at IS NULL AND i.expires_at > now()
      AND u.state = 'invited' AND t.is_active""")
PENDING = text("""
    SELECT i.id, i.created_at, i.expires_at, i.expires_at <= now() AS over, i.mailed_as, u.id AS user_id, u.email, u.role,
           u.first_name, u.last_name, by.first_name AS by_first_name, by.last_name AS by_last_name, by.username AS by_username
    FROM invitations i
    JOIN users u ON u.tenant_id = i.tenant_id AND u.id = i.user_id
    JOIN users by ON by.tenant_id = i.tenant_id AND by.id = i.invited_by
    WHERE i.tenant_id = :tenant AND i.accepted_at IS NULL ORDER BY i.created_at DESC, i.id LIMIT 500""")
Fate = Literal["invited", "here already", "invited before", "malformed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one address; `link` is shown once, to whoever invited; `reason` says what is wrong with a malformed one."""

    address: str
    fate: Fate
    link: str | None = None
    reason: str | None = None


def invite(command: Invite, *, by: Actor) -> list[Outcome]:
    """Invite every address, each with an answer of its own; sent twice, the second time says so of each.

    Raises Invalid(role=…) where the role cannot be given, Invalid where the actor may not have mails sent, Invalid(password=…) where an
    administrator is invited without a fresh password, TooMany where one of the addresses was invited again and again.
    """
    users.demand_allowed(policy.can_invite(by, command.role))
    demand_mailing(by)
    if policy.asks_for_password(command.role):
        auth.confirm(command, by=by)
    users.demand_office(by)
    answers = [_invite_one(address, command, by) for address in addresses_in(command.addresses)]
    invited = [answer.address for answer in answers if answer.fate == "invited"]
    if invited:
        changes = {"e-mail": [None, ", ".join(invited)], "role": [None, command.role]}
        audit.record("users_invited", tenant_id=by.tenant_id, by=by, object_type="user", changes=changes)
    return answers


def demand_mailing(by: Actor) -> None:
    """Raises Invalid with the rule unless the actor may have people mailed who are no users."""
    may = policy.mails_invitations(by)
    if isinstance(may, policy.Denied):
        raise Invalid(may.words)


def _invite_one(typed: str, command: Invite, by: Actor) -> Outcome:
    try:
        address = clean_email(typed)
        key = email_key(address)
    except ValueError as fault:
        return Outcome(typed, "malformed", reason=str(fault))
    if known := _state_of(by.tenant_id, key):
        return Outcome(address, "invited before" if known == "invited" else "here already")
    user = User(
        id=uuid7(), tenant_id=by.tenant_id, role=Role(command.role), email=address, email_key=key, is_active=False, accepted_at=null()
    )
    try:
        with db.session.begin_nested():
            db.session.add(user)
            db.session.flush()
    except IntegrityError as error:
        if users.taken(error) != "email":
            raise
        # somebody else invited the address between the two looks
        return Outcome(address, "invited before")
    return Outcome(address, "invited", link=_send(user, command.line, timedelta(days=command.days), by))


def _state_of(tenant_id: UUID, key: str) -> str | None:
    found: str | None = db.session.execute(select(User.state).where(User.tenant_id == tenant_id, User.email_key == key)).scalar()
    return found


def _send(user: User, line: str | None, life: timedelta, by: Actor) -> str:
    """Write the invitation and its mail; returns the link, whose secret is kept nowhere else."""
    credential, secret_hash = new_credential(by.tenant_id)
    expires_at = datetime.now(UTC) + life
    invitation = Invitation(
        tenant_id=by.tenant_id, user_id=user.id, secret_hash=secret_hash, line=line, invited_by=by.id, expires_at=expires_at
    )
    invitation.mailed_as = _mail(user, line, link_of(credential), expires_at, by)
    db.session.add(invitation)
    db.session.flush()
    return link_of(credential)


def _mail(user: User, line: str | None, link: str, expires_at: datetime, by: Actor) -> UUID:
    """Raises TooMany where this address was mailed again and again, also where its invitation was withdrawn in between."""
    if mail.is_configured():
        Unasked(f"invitation|{by.tenant_id}|{user.email_key}").count()
    sent = mail.queue(
        "invitation",
        tenant_id=by.tenant_id,
        to=str(user.email),
        expires_at=expires_at,
        link=link,
        **_words(line, expires_at, by),
    )
    return sent.id


def send_to_many(people: Sequence[tuple[UUID, str]], *, by: Actor) -> None:
    """Write the invitations of accounts that were just made (id, address), and their mails; the links stand in the mails only.

    A handful of statements for at most 1,000 people. The caller has asked the rules, and notes it in the audit log.
    """
    expires_at = datetime.now(UTC) + LIFE
    credentials = [new_credential(by.tenant_id) for _ in people]
    mails = mail.queue_many(
        "invitation",
        ((address, link_of(credential)) for (_, address), (credential, _) in zip(people, credentials, strict=True)),
        tenant_id=by.tenant_id,
        expires_at=expires_at,
        **_words(None, expires_at, by),
    )
    common = {"tenant_id": by.tenant_id, "invited_by": by.id, "expires_at": expires_at}
    rows = [
        {**common, "id": uuid7(), "user_id": user_id, "secret_hash": secret_hash, "mailed_as": mailed_as}
        for (user_id, _), (_, secret_hash), mailed_as in zip(people, credentials, mails, strict=True)
    ]
    add_rows(Invitation.__table__, rows)


def _words(line: str | None, expires_at: datetime, by: Actor) -> dict[str, Any]:
    """What the mail of every invitation says."""
    return {
        "subject": f"{by.full_name} invites you to {by.organization_name}",
        "organization_name": by.organization_name,
        "inviter": by.full_name,
        "line": line,
        "until": f"{expires_at:%d %B %Y}".lstrip("0"),
    }


def link_of(credential: str) -> str:
    """Where an invitation is accepted, to be written into pages and mails."""
    return f"{settings().public_url}/join/{credential}"


def invitation(tenant_id: UUID, invitation_id: UUID) -> Invitation | None:
    """The open invitation within the tenant; None for unknown, accepted and foreign ones alike."""
    found = select(Invitation).where(Invitation.tenant_id == tenant_id, Invitation.id == invitation_id, Invitation.accepted_at.is_(None))
    return db.session.execute(found).scalar_one_or_none()


def pending(tenant_id: UUID) -> list[dict[str, Any]]:
    """The invitations that nobody has accepted yet, the newest first, at most 500, each with how far its mail is. Two statements."""
    rows = [dict(row) for row in db.session.execute(PENDING, {"tenant": tenant_id}).mappings()]
    states = mail.states(tenant_id, [row["mailed_as"] for row in rows if row["mailed_as"]])
    return [{**row, "mail": states.get(row["mailed_as"])} for row in rows]


def send_again(command: SendAgain, invitation: Invitation, *, by: Actor) -> str:
    """Make a new link, which is mailed and returned; the old one is dead at once.

    Raises Invalid with the rule, Invalid(password=…) where an administrator is invited without a fresh password, TooMany.
    """
    demand_mailing(by)
    if policy.asks_for_password(_invited(invitation, by).role):  # whoever has the link becomes one
        auth.confirm(command, by=by)
    users.demand_office(by)
    user = _invited(invitation, by)
    credential, invitation.secret_hash = new_credential(by.tenant_id)
    life = max(timedelta(days=1), invitation.expires_at - invitation.created_at)
    invitation.expires_at = datetime.now(UTC) + life
    invitation.mailed_as = _mail(user, invitation.line, link_of(credential), invitation.expires_at, by)
    audit.record("invitation_sent_again", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id)
    return link_of(credential)


def withdraw(invitation: Invitation, *, by: Actor) -> None:
    """Take an invitation back; its link is dead at once, a mail that waits is not sent, and the address may be invited anew.

    Raises Invalid with the rule.
    """
    user = _invited(invitation, by)
    address, user_id = user.email, user.id
    mail.forget(user_id, "the invitation was withdrawn")
    db.session.execute(delete(User).where(User.tenant_id == by.tenant_id, User.id == user_id, User.accepted_at.is_(None)))
    changes = {"e-mail": [address, None]}
    audit.record("invitation_withdrawn", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user_id, changes=changes)


def _invited(invitation: Invitation, by: Actor) -> User:
    """The invited account, locked; raises Invalid where the actor may not give its role, Conflict where it was accepted meanwhile."""
    user = users.lock_account(by.tenant_id, invitation.user_id)
    if user is None or user.state != "invited":
        raise Conflict("This invitation was accepted or withdrawn at this moment.")
    users.demand_allowed(policy.can_invite(by, user.role))
    return user


def opened(credential: str) -> Any:
    """What an invitation's page shows, bound to its organization; raises NotFound for a link that does not work, whyever."""
    tenant, secret_hash = credential_parts(credential)
    if tenant is None:
        raise NotFound(DEAD)
    release()
    tenancy.bind(tenant)
    found = db.session.execute(OPEN, {"tenant": tenant, "hash": secret_hash}).mappings().first()
    if found is None:
        raise NotFound(DEAD)
    return found


def accept(command: Accept, credential: str, *, origin: Origin) -> str:
    """Become a member: names, username and password are stored, the address counts as confirmed; returns an open session's credential.

    Raises NotFound for a link that does not work (any more), Invalid(username=…) when it is taken in the organization.
    """
    found = opened(credential)
    tenant, secret_hash = credential_parts(credential)
    release()  # no connection is held while hashing
    password = passwords.hashed(command.password.get_secret_value())
    assert tenant is not None
    tenancy.bind(tenant, user=found["user_id"], role=found["role"])
    user = users.lock_account(tenant, found["user_id"])  # the account first, as whoever withdraws its invitation or sends it again
    if user is None or db.session.execute(OPEN, {"tenant": tenant, "hash": secret_hash}).first() is None:
        raise NotFound(DEAD)
    won = (Invitation.tenant_id == tenant, Invitation.secret_hash == secret_hash, Invitation.accepted_at.is_(None))
    if db.session.execute(update(Invitation).where(*won).values(accepted_at=func.now()).returning(Invitation.id)).first() is None:
        raise NotFound(DEAD)  # the same link was used at the same moment
    user.first_name, user.last_name = command.first_name, command.last_name
    user.username, user.username_key = command.username, username_key(command.username)
    user.hashed_password, user.is_active, user.is_verified = password, True, True
    user.accepted_at = user.last_sign_in_at = datetime.now(UTC)
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        if users.taken(error) != "username":
            raise
        raise Invalid(username=f"“{command.username}” is taken in this organization. Choose another one.") from None
    session = auth.open_session(tenant, user.id, str(user.role), user.auth_epoch, origin)
    audit.record(
        "invitation_accepted",
        tenant_id=tenant,
        actor_id=user.id,
        actor_name=user.full_name,
        network=origin.network,
        object_type="user",
        object_id=user.id,
    )
    return session
