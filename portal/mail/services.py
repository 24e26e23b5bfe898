"""Putting mails into the outbox, and telling how far they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import escape
from sqlalchemy import select, text
from uuid_utils.compat import uuid7

from portal.database.reading import add_rows
from portal.errors import Invalid, Unavailable
from portal.extensions import db, settings
from portal.mail.letters import PORTAL, letter
from portal.mail.models import OutboxMail
from portal.mail.outbox import OUT_OF_DATE
from portal.mail.servers import NotNow, Refused, Unreachable, post_to

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
NOWHERE = "\0"  # what no text holds: it stands where a link will
LIFE = timedelta(days=7)  # of a mail that says nothing of its own: a week later a welcome is no welcome any more
DAYS_KNOWN = 30  # days that the outbox knows of a mail after its end; the policy for deleting says the same


@dataclass(frozen=True)
class MailState:
    """How far a mail is: `words` for people, `at` the moment that belongs to them, `kind` of the badge (on, wait, off, refused)."""

    kind: Literal["on", "wait", "off", "refused"]
    words: str
    at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.words} {self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.at else self.words


NOT_CONFIGURED = MailState("off", "not sent: no mail server is configured")
FORGOTTEN = MailState("off", f"no longer known: its end was more than {DAYS_KNOWN} days ago")


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]), undefined=StrictUndefined)


def is_configured() -> bool:
    """Whether mail leaves this portal at all. Where it does not, say so on the screen, and show another way."""
    return settings().mail_server is not None


def queue(template: str, *, tenant_id: UUID, to: str, subject: str, expires_at: datetime | None = None, **context: Any) -> OutboxMail:
    """Put one mail into the outbox, as text and HTML from templates/mail/; it is sent only when the transaction is done.

    `expires_at` is when it is of no more use: the end of the link in it, else a week from now. It is not sent later than that, so
    that a mail server which is configured months later sends no flood of old mail; and what ends sooner goes out first. Links in
    `context` begin with PUBLIC_URL. Keep the `id` of the answer to ask `states` for it.
    """
    mail_id, (text, html) = uuid7(), _rendered(template, context)
    now = datetime.now(UTC)
    expires_at = expires_at or now + LIFE
    mail = OutboxMail(
        tenant_id=tenant_id,
        id=mail_id,
        message_id=_message_id(mail_id),  # made once: whoever gets the mail twice can tell
        recipient=to,
        subject=" ".join(subject.split()),
        body_text=text,
        body_html=html,
        expires_at=expires_at,
        send_after=min(now, expires_at - LIFE),  # a link for an hour goes out before the invitations of a whole organization
    )
    db.session.add(mail)
    return mail


def queue_many(
    template: str,
    letters: Iterable[tuple[str, str]],
    *,
    tenant_id: UUID,
    subject: str,
    expires_at: datetime,
    **context: Any,
) -> list[UUID]:
    """As `queue`, for many: each letter is a recipient and the `link` that this one gets. One statement; the ids in order.

    The template shows `link` as it is, without a filter or a question about it: it is rendered once for all.
    """
    in_text, in_html = (body.split(NOWHERE) for body in _rendered(template, {**context, "link": NOWHERE}))
    common = {"tenant_id": tenant_id, "subject": " ".join(subject.split()), "expires_at": expires_at}
    rows: list[dict[str, Any]] = []
    for to, link in letters:
        mail_id, bodies = uuid7(), {"body_text": link.join(in_text), "body_html": str(escape(link)).join(in_html)}
        rows.append({**common, "id": mail_id, "message_id": _message_id(mail_id), "recipient": to, **bodies})
    add_rows(OutboxMail.__table__, rows)
    return [row["id"] for row in rows]


def forget(account_id: UUID, why: str) -> None:
    """Take the addresses of an account that nobody can sign in to out of its organization's outbox and links, before they are erased.

    What was sent stays known as sent, to nobody any more; what was not is given up, with the reason `why`. One statement.
    """
    db.session.execute(text("SELECT forget_mail(:account, :why)"), {"account": account_id, "why": why})


def send_test(address: str) -> str:
    """Hand a mail for trying out straight to the mail server, past the outbox; returns a sentence about what took it.

    Raises Invalid where it was refused, Unavailable where it cannot be taken now, in the server's words.
    """
    server = settings().mail_server
    if server is None:
        raise Unavailable("No mail server is configured: MAIL_URL names one.")
    text, html = _rendered("test", {"public_url": settings().public_url})
    sender, post = settings().mail_from, post_to(server, settings().mail_from)
    try:
        made = letter(
            sender=sender,
            organization=PORTAL,
            recipient=address,
            subject="The portal sends mail",
            message_id=_message_id(uuid7()),
            at=datetime.now(UTC),
            text=text,
            html=html,
        )
        post.open()
        post.deliver(made)
    except (Refused, ValueError) as error:
        raise Invalid(str(error)) from None
    except (NotNow, Unreachable) as error:
        raise Unavailable(f"{server}: {error}") from None
    finally:
        post.close()
    return f"For {address} it was taken by {server}. Whether it arrives shows in the mailbox."


def _rendered(template: str, context: dict[str, Any]) -> tuple[str, str]:
    """Text and HTML."""
    environment = _environment()
    return environment.get_template(f"mail/{template}.txt").render(context), environment.get_template(f"mail/{template}.html").render(
        context
    )


def _message_id(mail_id: UUID) -> str:
    return f"<{mail_id}@{settings().hostname}>"


def states(tenant_id: UUID, mail_ids: Iterable[UUID]) -> dict[UUID, MailState]:
    """How far each of these mails of an organization is, in words for its screens. One statement."""
    wanted = list(mail_ids)
    found = select(OutboxMail).where(OutboxMail.tenant_id == tenant_id, OutboxMail.id.in_(wanted))
    mails = {mail.id: mail for mail in db.session.execute(found).scalars()}
    return {mail_id: state_of(mails.get(mail_id)) for mail_id in wanted}


def state_of(mail: OutboxMail | None) -> MailState:
    """How far a mail is, in words for screens; never "sent" before a mail server has taken it. None is one that was deleted."""
    if mail is None:
        return FORGOTTEN
    if mail.sent_at:
        return MailState("on", "sent at", mail.sent_at)
    if mail.failed_at:
        return MailState("refused", f"failed: {mail.last_error}")
    if mail.expires_at <= datetime.now(UTC):
        return MailState("refused", f"failed: {mail.last_error or OUT_OF_DATE}")
    if not is_configured():
        return NOT_CONFIGURED
    if mail.last_error:
        tries = "once" if mail.attempts == 1 else f"{mail.attempts} times"
        return MailState("wait", f"queued, tried {tries}: {mail.last_error}")
    return MailState("wait", "queued")
