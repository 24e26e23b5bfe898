"""The duty that answers what visitors asked to be mailed: it looks who is meant, which no request does."""

import logging
from typing import Any
from uuid import UUID

from portal.database import first_row, rows_changed
from portal.worker.jobs import Application
from portal.worker.stopping import Stop

log = logging.getLogger(__name__)

LEASE = 300  # seconds until what was begun is begun again; it is deleted an hour after it was asked
WAITS = "take_after <= now() AND expires_at > now()"
WAITING = f"SELECT EXISTS (SELECT FROM asked_mails WHERE {WAITS})"
TAKE = f"""
    WITH taken AS (SELECT id FROM asked_mails WHERE {WAITS} ORDER BY take_after LIMIT 1 FOR UPDATE SKIP LOCKED)
    UPDATE asked_mails SET take_after = now() + make_interval(secs => {LEASE}) FROM taken WHERE asked_mails.id = taken.id
    RETURNING asked_mails.id::text, kind, organization, login, network"""
ORGANIZATIONS = "SELECT array_agg(tenant_id::text) FROM organizations_of(%(key)s)"
ANSWERED = "DELETE FROM asked_mails WHERE id = %(id)s"


class Asking:
    """Queues the mails that were asked for; they are sent as all others."""

    def __init__(self, application: Application, stop: Stop) -> None:
        self.application, self.stop = application, stop

    def act(self, connection: Any) -> None:
        """Answer all that waits. `connection` is a DBAPI one as portal_worker, in autocommit."""
        while not self.stop.asked and first_row(connection, WAITING)[0]:
            app = self.application()
            taken = first_row(connection, TAKE)
            if taken is None:
                return
            asked, *about = taken
            try:
                with app.app_context():
                    _answer(connection, *about)
            except Exception:  # it stays, and is begun again when the lease ends
                log.exception("what was asked to be mailed could not be answered")
            else:
                rows_changed(connection, ANSWERED, id=asked)


def _answer(connection: Any, kind: str, organization: str | None, login: str, network: str | None) -> None:
    from portal.forgotten import services as forgotten
    from portal.values import email_key

    if kind == "password":
        forgotten.mail_link(str(organization), login, network)
    else:
        (found,) = first_row(connection, ORGANIZATIONS, key=email_key(login))
        forgotten.mail_organizations([UUID(tenant) for tenant in found or []], login)
