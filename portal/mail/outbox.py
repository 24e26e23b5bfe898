"""What the worker does with the outbox, as portal_worker: short transactions, of which none is open while a server is spoken to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.database import first_row, rows_changed

LEASE = 180  # seconds that a mail is left to the worker that took it; longer than any talk about it (servers.TALK)
PAUSES = (1, 5, 15, 30, 60, 120, 240, 480, 480)  # minutes after each try that failed; 23 h 51 min in all, then it is given up

OUT_OF_DATE = "it was not sent while it was of use"

WAITS = "sent_at IS NULL AND failed_at IS NULL AND send_after <= now()"
WAITING = f"SELECT EXISTS (SELECT FROM outbox WHERE {WAITS} AND expires_at > now())"
TAKE = f"""
    WITH taken AS (
        SELECT tenant_id, id FROM outbox WHERE {WAITS} AND expires_at > now() ORDER BY send_after LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox SET attempts = attempts + 1, send_after = now() + make_interval(secs => %(lease)s)
    FROM taken WHERE outbox.tenant_id = taken.tenant_id AND outbox.id = taken.id
    RETURNING outbox.tenant_id::text, outbox.id::text, attempts, message_id, recipient, subject, body_text, body_html, created_at"""
ORGANIZATION = "SET LOCAL app.tenant_id = %(tenant)s; SELECT name FROM tenants WHERE id = %(tenant)s"
MINE = "tenant_id = %(tenant)s AND id = %(id)s AND sent_at IS NULL AND failed_at IS NULL"
NO_TEXT = "body_text = NULL, body_html = NULL"
SENT = f"""
    UPDATE outbox SET sent_at = now(), failed_at = NULL, last_error = NULL, {NO_TEXT}
    WHERE tenant_id = %(tenant)s AND id = %(id)s AND sent_at IS NULL"""
GIVEN_UP = f"UPDATE outbox SET failed_at = now(), last_error = %(why)s, {NO_TEXT} WHERE {MINE} AND attempts = %(attempts)s"
AGAIN = f"""
    UPDATE outbox SET send_after = least(now() + make_interval(mins => %(pause)s), expires_at), last_error = %(why)s
    WHERE {MINE} AND attempts = %(attempts)s"""
NO_LONGER = f"""
    UPDATE outbox SET failed_at = now(), last_error = coalesce(last_error, %(why)s), {NO_TEXT} WHERE {WAITS} AND expires_at <= now()"""


@dataclass(frozen=True)
class Taken:
    """A mail that this worker has taken up, for the `attempts`-th time, and the name of the organization that it comes from."""

    tenant_id: str
    id: str
    attempts: int
    message_id: str
    recipient: str
    subject: str
    body_text: str
    body_html: str | None
    created_at: datetime
    organization: str

    @property
    def key(self) -> dict[str, Any]:
        return {"tenant": self.tenant_id, "id": self.id, "attempts": self.attempts}


def waiting(connection: Any) -> bool:
    """Whether a mail is to be sent now."""
    return bool(first_row(connection, WAITING)[0])


def take(connection: Any) -> Taken | None:
    """The mail that is to be sent next, taken for LEASE seconds; None when there is none that no other worker has."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")  # an error ends the connection, and the transaction with it
        cursor.execute(TAKE, {"lease": LEASE})
        row = cursor.fetchone()
        if row:
            cursor.execute(ORGANIZATION, {"tenant": row[0]})
            row = (*row, *cursor.fetchone())
        cursor.execute("COMMIT")
    return Taken(*row) if row else None


def sent(connection: Any, mail: Taken) -> None:
    """A server has it. True whoever had taken it meanwhile."""
    rows_changed(connection, SENT, **mail.key)


def give_up(connection: Any, mail: Taken, why: str) -> None:
    """It is never sent."""
    rows_changed(connection, GIVEN_UP, **mail.key, why=why)


def put_off(connection: Any, mail: Taken, why: str) -> None:
    """It is tried again after a pause that grows; given up once all pauses were used."""
    if mail.attempts > len(PAUSES):
        give_up(connection, mail, f"{why} (tried {mail.attempts} times)")
    else:
        rows_changed(connection, AGAIN, **mail.key, why=why, pause=PAUSES[mail.attempts - 1])


def give_up_what_is_out_of_date(connection: Any) -> int:
    """Mails that are of no more use are not sent any more, and their text goes, with a mail server or without; how many these were."""
    return rows_changed(connection, NO_LONGER, why=OUT_OF_DATE)
