"""Signing in and out, and finding the actor behind a credential."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from portal import policy
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth.commands import ChangePassword, Confirmed, NamedAccount, SignIn
from portal.auth.models import IdempotencyKey, SignInSession
from portal.auth.throttle import Attempt, Guesses, notes_refusal_of
from portal.database import tenancy
from portal.database.reading import Reading
from portal.errors import Conflict, Invalid
from portal.extensions import commit, db, on_its_own, release, settings
from portal.users.models import User
from portal.values import credential_parts, device_name, email_key, fingerprint, full_name, new_credential, username_key

NONCE_LIFE = timedelta(days=1)
WRONG = "The organization, the name or the password is not right, or this account cannot sign in."


@dataclass(frozen=True)
class OwnSession:
    """One of a person's open sessions; `current` is the one that asks."""

    id: UUID
    device: str
    network: str | None
    created_at: datetime
    seen_at: datetime
    current: bool


# One condition for "this session is open", asked by the door and by the overview's figure.
IS_OPEN = """
    s.expires_at > now() AND s.auth_epoch = u.auth_epoch AND u.is_active AND t.is_active
    AND s.seen_at > now() - make_interval(mins => CASE WHEN u.role = ANY(%(platform_roles)s) THEN %(platform_idle)s ELSE %(idle)s END)"""
SESSIONS = """
    FROM sessions s
    JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
    JOIN tenants t ON t.id = s.tenant_id"""
ACTOR = """
    u.id, u.role, u.username, u.email, u.is_verified, u.first_name, u.last_name, t.name AS organization_name, t.subdomain,
    u.theme, u.time_zone, u.density, u.table_columns, u.table_rows"""
FIND_ACTOR = Reading(f"""
    SELECT {ACTOR}, s.id AS session_id, s.created_at AS signed_in_at,
           s.confirmed_at > now() - interval '5 minutes' AS confirmed, s.seen_at < now() - interval '1 minute' AS stale
    {SESSIONS} WHERE s.tenant_id = %(tenant)s AND s.secret_hash = %(secret_hash)s AND {IS_OPEN}""")
FIND_ACTOR_AGAIN = Reading(f"""
    SELECT {ACTOR} FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.tenant_id = %(tenant)s AND u.id = %(user)s AND (%(even_gone)s OR u.is_active AND t.is_active)""")
SEEN = text("UPDATE sessions SET seen_at = now() WHERE tenant_id = :tenant AND id = :session")
FIND_ACCOUNT = Reading("""
    SELECT u.id, u.tenant_id, u.role, u.hashed_password, u.auth_epoch, u.is_active AND t.is_active AS may_sign_in
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.tenant_id = %(tenant)s AND (u.email_key = %(email_key)s OR u.username_key = %(username_key)s)
    ORDER BY u.email_key IS NOT DISTINCT FROM %(email_key)s DESC LIMIT 1""")
OWN_SESSIONS = Reading(f"""
    SELECT s.id, s.user_agent, s.network, s.created_at, s.seen_at
    {SESSIONS} WHERE s.tenant_id = %(tenant)s AND s.user_id = %(user)s AND {IS_OPEN} ORDER BY s.seen_at DESC, s.id LIMIT 50""")
DIRECTORY = Reading("SELECT id FROM organization_directory(%(subdomain)s)")


def open_parameters() -> dict[str, Any]:
    """The parameters of IS_OPEN."""
    return {
        "platform_roles": [str(role) for role in policy.PLATFORM_ROLES],
        "platform_idle": settings().platform_session_idle_minutes,
        "idle": settings().session_idle_minutes,
    }


def organization_id(subdomain: str) -> UUID | None:
    """The id behind a subdomain, the only thing that is visible without a tenant."""
    release()
    with tenancy.bound(None):
        found = DIRECTORY.one(subdomain=subdomain)
    return found.id if found else None


def actor_of(credential: str, origin: Origin, *, unattended: bool = False) -> Actor | None:
    """Whoever holds this credential (`<tenant>.<secret>`), bound for the rest of the transaction; None when it opens nothing.

    What a page asks by itself, `unattended`, is no activity: the session idles on.
    """
    tenant, secret_hash = credential_parts(credential)
    if tenant is None:
        return None
    release()
    tenancy.bind(tenant)
    found = FIND_ACTOR.one(tenant=tenant, secret_hash=secret_hash, **open_parameters())
    if found is None:
        tenancy.bind(None)
        return None
    row = found._asdict()
    tenancy.bind(tenant, user=row["id"], role=row["role"])
    if row.pop("stale") and not unattended:
        db.session.execute(SEEN, {"tenant": tenant, "session": row["session_id"]})
    return Actor(credential=credential, origin=origin, tenant_id=tenant, **row)


def actor_again(tenant_id: UUID, user_id: UUID, origin: Origin, *, even_gone: bool = False) -> Actor | None:
    """Who asked for a job, as the account is now; None when it can no longer sign in, unless `even_gone` asks for it all the same.

    Within a transaction bound to the tenant.
    """
    found = FIND_ACTOR_AGAIN.one(tenant=tenant_id, user=user_id, even_gone=even_gone)
    if found is None:
        return None
    return Actor(
        session_id=None, signed_in_at=None, credential=None, confirmed=False, origin=origin, tenant_id=tenant_id, **found._asdict()
    )


def sign_in(command: SignIn, *, origin: Origin, known_browser: str | None) -> str:
    """Open a session for the right password; returns its credential.

    Raises Invalid with one sentence for unknown, wrong, inactive and suspended alike, TooMany when throttled.
    """
    attempt = Attempt(account_key(command), origin.network, known_browser)
    attempt.count()
    tenant = organization_id(command.organization.lower()) or uuid4()  # an id that no tenant has: the same work for unknown ones
    tenancy.bind(tenant)
    account = FIND_ACCOUNT.one(tenant=tenant, **login_keys(command.login))  # no connection is held while hashing
    right, fresh_hash = passwords.verified(command.password.get_secret_value(), account.hashed_password if account else None)
    if account is None or not right or not account.may_sign_in:
        raise Invalid(WRONG)
    attempt.succeeded()
    return enter(account, origin, fresh_hash)


def enter(account: Any, origin: Origin, fresh_hash: str | None = None) -> str:
    """Sign in an account (id, tenant_id, role, auth_epoch) whose password was just verified; returns the credential.

    Raises Invalid when it was deactivated or changed while the password was verified.
    """
    tenancy.bind(account.tenant_id, user=account.id, role=account.role)
    changed = {"last_sign_in_at": datetime.now(UTC), **({"hashed_password": fresh_hash} if fresh_hash else {})}
    as_it_was = (User.tenant_id == account.tenant_id, User.id == account.id, User.auth_epoch == account.auth_epoch, User.is_active)
    names = (User.first_name, User.last_name, User.username)
    name = db.session.execute(update(User).where(*as_it_was).values(**changed).returning(*names)).first()
    if name is None:
        raise Invalid(WRONG)
    credential = open_session(account.tenant_id, account.id, account.role, account.auth_epoch, origin)
    about = {"tenant_id": account.tenant_id, "object_type": "user", "object_id": account.id}
    audit.record(
        "signed_in",
        actor_id=account.id,
        actor_name=full_name(name.first_name, name.last_name, str(name.username)),
        network=origin.network,
        **about,
    )
    return credential


def open_session(tenant: UUID, user: UUID, role: str, auth_epoch: int, origin: Origin) -> str:
    """Write a new session into the running transaction; returns its credential, whose secret is kept nowhere else."""
    credential, secret_hash = new_credential(tenant)
    hours = settings().platform_session_hours if policy.is_platform(role) else settings().session_hours
    db.session.execute(
        insert(SignInSession).values(
            tenant_id=tenant,
            user_id=user,
            secret_hash=secret_hash,
            auth_epoch=auth_epoch,
            expires_at=datetime.now(UTC) + timedelta(hours=hours),
            user_agent=origin.user_agent,
            network=origin.network,
        )
    )
    return credential


def act_above(actor: Actor) -> None:
    """Let the rest of the request of somebody of the platform act as the platform's role, whose policies know the ranks above."""
    commit()
    tenancy.bind(actor.tenant_id, user=actor.id, role=actor.role, pool="platform")


def end_session(credential: str) -> None:
    """End the session of a credential that its browser no longer keeps; binds the credential's tenant."""
    tenant, secret_hash = credential_parts(credential)
    if tenant is not None:
        tenancy.bind(tenant)
        db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == tenant, SignInSession.secret_hash == secret_hash))


def sign_out(*, by: Actor) -> None:
    """End the actor's session at once."""
    db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == by.tenant_id, SignInSession.id == by.session_id))
    audit.record("signed_out", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id)


def own_session(session_id: UUID, *, by: Actor) -> SignInSession | None:
    """One of the actor's own sessions; None for anybody else's."""
    mine = (SignInSession.tenant_id == by.tenant_id, SignInSession.user_id == by.id, SignInSession.id == session_id)
    return db.session.execute(select(SignInSession).where(*mine)).scalar_one_or_none()


def end_own_session(session: SignInSession, *, by: Actor) -> None:
    """End one of the actor's own sessions at once."""
    db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == by.tenant_id, SignInSession.id == session.id))
    audit.record("session_ended", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id)


def end_other_sessions(*, by: Actor) -> int:
    """End all of the actor's sessions but this one; returns how many there were."""
    others = (SignInSession.tenant_id == by.tenant_id, SignInSession.user_id == by.id, SignInSession.id != by.session_id)
    ended = len(db.session.execute(delete(SignInSession).where(*others).returning(SignInSession.id)).all())
    if ended:
        audit.record("sessions_ended", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes={"sessions": [ended, 0]})
    return ended


def confirm(command: Confirmed, *, by: Actor) -> None:
    """What hurts is asked for twice: pass when the actor typed the password in this session in the last five minutes, or in `command`.

    Call it before anything is written. Raises Invalid(password=…) where it is missing or wrong, TooMany after ten tries in five minutes.
    """
    if by.confirmed:
        return
    typed = command.password.get_secret_value()
    if not typed:
        raise Invalid(fields={"password": "You entered your password more than five minutes ago. Enter it once more to confirm this."})
    _prove(typed, "password", by)
    this = (SignInSession.tenant_id == by.tenant_id, SignInSession.id == by.session_id)
    on_its_own(lambda: db.session.execute(update(SignInSession).where(*this).values(confirmed_at=func.now())))


def _prove(typed: str, field: str, by: Actor) -> str | None:
    """The stored hash of the actor's password, which was typed right; raises Invalid beside `field`, or TooMany."""
    guesses = Guesses(by.id)
    guesses.count()
    mine = (User.tenant_id == by.tenant_id, User.id == by.id)
    stored = db.session.execute(select(User.hashed_password).where(*mine)).scalar_one()
    release()  # no connection is held while hashing
    if not passwords.verified(typed, stored)[0]:
        raise Invalid(fields={field: "This is not your password."})
    guesses.succeeded()
    return stored


def change_password(command: ChangePassword, *, by: Actor) -> str:
    """Store a new password, end every session of the account, and open a new one; returns its credential.

    Raises Invalid(old_password=…) when the old one is wrong, TooMany after ten tries in five minutes.
    """
    stored = _prove(command.old_password.get_secret_value(), "old_password", by)
    fresh = passwords.hashed(command.new_password.get_secret_value())
    as_it_was = (User.tenant_id == by.tenant_id, User.id == by.id, User.hashed_password == stored, User.is_active)
    changed = update(User).where(*as_it_was).values(hashed_password=fresh, auth_epoch=User.auth_epoch + 1).returning(User.auth_epoch)
    epoch = db.session.execute(changed).scalar()
    if epoch is None:
        raise Invalid("Your password was changed elsewhere at this moment. Nothing was saved; sign in again.")
    db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == by.tenant_id, SignInSession.user_id == by.id))
    credential = open_session(by.tenant_id, by.id, by.role, epoch, by.origin)
    audit.record("password_changed", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id)
    return credential


def only_once(nonce: str, action: str, *, tenant_id: UUID, made: UUID) -> None:
    """Note within the running transaction what the form with this nonce makes; the same form, sent again, raises Conflict."""
    key = IdempotencyKey(
        tenant_id=tenant_id, key=fingerprint(nonce), action=action, result_id=made, expires_at=datetime.now(UTC) + NONCE_LIFE
    )
    try:
        with db.session.begin_nested():
            db.session.add(key)
    except IntegrityError:
        raise Conflict("This form was sent before, and what it makes is made. Open its page anew to make another.") from None


def was_sent(nonce: str, *, tenant_id: UUID) -> bool:
    """Whether the form with this nonce was sent, and what it makes is made."""
    mine = (IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.key == fingerprint(nonce))
    return db.session.execute(select(IdempotencyKey.key).where(*mine)).first() is not None


def made_within_a_day(action: str, *, tenant_id: UUID) -> int:
    """How many forms of this action have made something in an organization within NONCE_LIFE, whatever became of it."""
    made = (IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.action == action, IdempotencyKey.expires_at > datetime.now(UTC))
    return db.session.execute(select(func.count()).where(*made)).scalar_one()


def note_refusal(actor: Actor, asked: str, reason: str) -> None:
    """Write into the audit log that a signed-in actor was refused: `asked` is method and path, `reason` a sentence.

    What is beyond a hundred refusals in an hour is not written: nobody fills the log of an organization.
    """
    if notes_refusal_of(actor.id):
        audit.record("refused", tenant_id=actor.tenant_id, by=actor, changes={"request": [None, asked], "reason": [None, reason]})


def sign_in_url(subdomain: str) -> str:
    """Where the people of an organization sign in, to be written into pages and mails."""
    scheme, _, host = settings().public_url.partition("://")
    return (
        f"{scheme}://{subdomain}.{host}/sign-in" if settings().serve_subdomains else f"{scheme}://{host}/sign-in?organization={subdomain}"
    )


def login_keys(login: str) -> dict[str, str | None]:
    """The keys of e-mail and username that a text may be; None where it can be none."""
    return {"email_key": _key(email_key, login), "username_key": _key(username_key, login)}


def account_key(command: NamedAccount) -> str:
    """What tries are counted under: every spelling that finds one account is one key."""
    keys = login_keys(command.login)
    key = keys["email_key"] or keys["username_key"] or command.login.casefold()
    return f"{command.organization.lower()}|{key}"


def own_sessions(*, by: Actor) -> list[OwnSession]:
    """The actor's open sessions, the latest activity first, at most 50."""
    rows = OWN_SESSIONS(tenant=by.tenant_id, user=by.id, **open_parameters())
    return [
        OwnSession(row.id, device_name(row.user_agent), row.network, row.created_at, row.seen_at, current=row.id == by.session_id)
        for row in rows
    ]


def _key(make: Any, typed: str) -> str | None:
    try:
        return str(make(typed))
    except ValueError:
        return None
