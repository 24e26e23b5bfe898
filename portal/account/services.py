"""What people do with their own account."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Update, exists, select, update
from sqlalchemy.exc import IntegrityError

from portal.account.commands import ChangeEmail, ChoosePreferences, EditProfile
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import services as auth
from portal.auth.throttle import AskedToMail
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db, rollback, settings
from portal.mail import services as mail
from portal.mail.services import MailState
from portal.mail_links import services as mail_links
from portal.users import services as users
from portal.users.models import User
from portal.values import email_key, username_key

PROFILE = ("first_name", "last_name", "username")
LIFE = timedelta(days=1)  # of a link that confirms an address
DEAD = "This link does not work: it was used or replaced, or its time is over. Ask for a new one on the page of your account."


@dataclass(frozen=True)
class Whom:
    """Whose address it is that a mail asks to confirm."""

    tenant_id: UUID
    id: UUID
    username: str
    organization: str


def account(*, by: Actor) -> User:
    """The actor's account as it is stored."""
    return db.session.execute(select(User).where(User.tenant_id == by.tenant_id, User.id == by.id)).scalar_one()


def profile_of(user: User) -> dict[str, Any]:
    """What the form of the profile shows."""
    return {**{name: getattr(user, name) for name in PROFILE}, "version": user.version}


def edit_profile(command: EditProfile, *, by: Actor) -> None:
    """Change names and username, and write what changed into the audit log.

    Raises Conflict when somebody saved another version meanwhile, Invalid(username=…) when it is taken in this organization.
    """
    user = users.lock_account(by.tenant_id, by.id)
    if user is None or user.version != command.version:
        raise Conflict("Your account was changed while you were writing.")
    changes = {name: [getattr(user, name), getattr(command, name)] for name in PROFILE if getattr(user, name) != getattr(command, name)}
    if not changes:
        return
    for name, (_, becomes) in changes.items():
        setattr(user, name, becomes)
    if "username" in changes:
        user.username_key = username_key(command.username)
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        if users.taken(error) != "username":
            raise
        raise Invalid(username=f"“{command.username}” is taken in your organization. Choose another one.") from None
    audit.record("profile_changed", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes=changes)


def ask_for_email(command: ChangeEmail, *, by: Actor) -> None:
    """Keep another address beside the one that holds, until it is confirmed; the one that holds stays for signing in, and is told.

    Raises Invalid(email=…) for the own address and for one that another account of the organization has, TooMany, and as auth.confirm.
    """
    auth.confirm(command, by=by)
    if command.email == by.email:
        raise Invalid(email="This is your address already.")
    others = exists().where(User.tenant_id == by.tenant_id, User.email_key == email_key(command.email), User.id != by.id)
    if db.session.execute(select(others)).scalar_one():
        raise Invalid(email="Another account of your organization has this address. Choose another one.")
    _slow_down(by)
    asked = _my_update(by).values(pending_email=command.email, pending_email_at=datetime.now(UTC)).returning(User.auth_epoch)
    epoch = db.session.execute(asked).scalar_one()
    mail_confirmation(_whom(by), epoch, command.email)
    if mail.is_configured():
        mail.queue(
            "email_change",
            tenant_id=by.tenant_id,
            to=by.email,
            subject=f"Another e-mail address for {by.organization_name}",
            organization_name=by.organization_name,
            username=by.username,
            email=command.email,
            account_url=f"{settings().public_url}/account",
        )
    changes = {"e-mail": [by.email, command.email]}
    audit.record("email_change_asked", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes=changes)


def ask_for_confirmation(*, by: Actor) -> str:
    """Mail the link anew that confirms the address that waits, else the one that holds; earlier ones are dead. Returns the address.

    Raises Invalid where there is nothing to confirm and where no mail is sent, TooMany.
    """
    if not mail.is_configured():
        raise Invalid("This portal sends no mail: no mail server is configured.")
    user = account(by=by)
    address = _unconfirmed(user)
    if address is None:
        raise Invalid("Your address is confirmed already.")
    _slow_down(by)
    mail_confirmation(_whom(by), user.auth_epoch, address)
    changes = {"e-mail": [None, address]}
    audit.record("email_link_asked", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes=changes)
    return address


def confirmation_mail(user: User) -> MailState | None:
    """How far the mail is whose link would confirm the address now; None where no link is open."""
    address = _unconfirmed(user)
    about = {"tenant_id": user.tenant_id, "user_id": user.id}
    mail_id = mail_links.open_mail("email", **about, email=address) if address else None
    return mail.states(user.tenant_id, [mail_id])[mail_id] if mail_id else None


def mail_confirmation(whom: Whom, auth_epoch: int, address: str) -> None:
    """Mail a link that confirms an address, bound to its account; earlier ones are dead. Where no mail is sent, none is made."""
    if not mail.is_configured():
        return
    about = {"tenant_id": whom.tenant_id, "user_id": whom.id}
    mail_links.end_all("email", **about)
    made = mail_links.make("email", **about, auth_epoch=auth_epoch, email=address, life=LIFE)
    sent = mail.queue(
        "confirm_email",
        tenant_id=whom.tenant_id,
        to=address,
        subject=f"Confirm your e-mail address for {whom.organization}",
        expires_at=made.expires_at,
        organization_name=whom.organization,
        username=whom.username,
        link=f"{settings().public_url}/account/confirm/{made.credential}",
    )
    mail_links.note_mail(made, sent)


def to_confirm(credential: str) -> Any:
    """What a link would confirm; raises NotFound for one that does not work, whyever."""
    return mail_links.opened("email", credential, dead=DEAD)


def confirm_email(credential: str, *, origin: Origin) -> str:
    """Confirm the address that a link was mailed to, which may be the one that waits to be the account's; returns it.

    Raises NotFound for a link that does not work (any more), Invalid where another account has the address by now.
    """
    found = mail_links.use("email", credential, dead=DEAD)
    tenant, address = found["tenant_id"], found["email"]
    user = users.lock_account(tenant, found["user_id"])
    if user is None:
        raise NotFound(DEAD)
    until_now = user.email
    if address == user.pending_email:
        user.email, user.email_key, user.pending_email, user.pending_email_at = address, email_key(address), None, None
    elif address != user.email:
        raise NotFound(DEAD)  # another address took its place at this moment
    user.is_verified = True
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        if users.taken(error) != "email":
            raise
        raise Invalid(f"Another account of {found['organization']} has {address} by now. Ask for another address.") from None
    audit.record(
        "email_confirmed" if until_now == address else "email_changed",
        tenant_id=tenant,
        actor_id=user.id,
        actor_name=user.full_name,
        network=origin.network,
        object_type="user",
        object_id=user.id,
        changes={} if until_now == address else {"e-mail": [until_now, address]},
    )
    return str(address)


def _unconfirmed(user: User) -> str | None:
    return user.pending_email or (None if user.is_verified else user.email)


def _slow_down(by: Actor) -> None:
    """Whoever is signed in may have mail sent to any address, but not much of it."""
    if mail.is_configured():
        AskedToMail(f"confirm|{by.id}", by.origin.network).count()


def _whom(by: Actor) -> Whom:
    return Whom(by.tenant_id, by.id, by.username, by.organization_name)


def keep_email(*, by: Actor) -> None:
    """Forget the address that waits to be confirmed."""
    waiting = _my_update(by).where(User.pending_email.is_not(None)).values(pending_email=None, pending_email_at=None).returning(User.id)
    if db.session.execute(waiting).first():
        audit.record("email_change_dropped", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id)


def choose_preferences(command: ChoosePreferences, *, by: Actor) -> None:
    """Keep how the actor reads the portal, on every device."""
    db.session.execute(_my_update(by).values(**command.model_dump()))


def choose_theme(theme: str, *, by: Actor) -> None:
    """Keep one of light, dark and system for the actor, on every device."""
    db.session.execute(_my_update(by).values(theme=theme))


def _my_update(by: Actor) -> Update:
    """A plain update, which raises no version: nobody else edits what it sets."""
    return update(User).where(User.tenant_id == by.tenant_id, User.id == by.id)
