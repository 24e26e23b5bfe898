"""The duty that sends the outbox, one mail after the other; several workers share it, and each mail is sent by one of them."""

import time
from typing import Any

from portal.config import MailServer
from portal.mail import outbox
from portal.mail.letters import Letter, letter
from portal.mail.servers import NotNow, Refused, Unreachable, post_to
from portal.system import say
from portal.worker.stopping import Stop

FIRST_REST, LONGEST_REST = 5.0, 60.0  # seconds between tries while the server takes no letter at all


class Sending:
    """What waits is handed to the server, as mail from the address `sender`."""

    def __init__(self, server: MailServer, sender: str, stop: Stop) -> None:
        self.server, self.post, self.sender, self.stop = server, post_to(server, sender), sender, stop
        self.rest, self.not_before = 0.0, 0.0
        self.unsaid: outbox.Taken | None = None  # sent, but the database was away before it could be told

    def act(self, connection: Any) -> None:
        """Send all that waits. No transaction is open while the server is spoken to; a mail is taken when the server is ready for it."""
        if self.unsaid:
            self._tell(connection, self.unsaid)
        try:
            while not self.stop.asked and time.monotonic() >= self.not_before and outbox.waiting(connection):
                trouble = self._trouble()
                mail = outbox.take(connection)
                if mail and trouble:
                    outbox.put_off(connection, mail, trouble)
                elif mail:
                    self._send(connection, mail)
        finally:
            if not self.stop.asked:
                self.post.close()

    def _trouble(self) -> str | None:
        """None when the server is ready; else why not, and it is left alone for a while."""
        try:
            self.post.open()
        except Unreachable as unreachable:
            self.rest = min(LONGEST_REST, self.rest * 2 or FIRST_REST)
            self.not_before = time.monotonic() + self.rest
            say(f"No mail goes to {self.server}: {unreachable}; it is tried again in {self.rest:.0f} s.")
            return str(unreachable)
        self.rest = 0.0
        return None

    def _send(self, connection: Any, mail: outbox.Taken) -> None:
        try:
            self.post.deliver(self._letter(mail))
        except NotNow as not_now:
            outbox.put_off(connection, mail, str(not_now))
        except Refused as refused:
            outbox.give_up(connection, mail, str(refused))
        else:
            self._tell(connection, mail)

    def _letter(self, mail: outbox.Taken) -> Letter:
        try:
            return letter(
                sender=self.sender,
                organization=mail.organization,
                recipient=mail.recipient,
                subject=mail.subject,
                message_id=mail.message_id,
                at=mail.created_at,
                text=mail.body_text,
                html=mail.body_html,
            )
        except Exception as error:  # whatever the library makes of it: one mail must not end the worker again and again
            raise Refused(f"it cannot be made into a mail ({error})") from None

    def _tell(self, connection: Any, mail: outbox.Taken) -> None:
        """Note that it was sent, also while the worker ends; kept in mind where the database is away, so that it is not sent again."""
        self.unsaid = mail
        with self.stop.finishing():
            outbox.sent(connection, mail)
        self.unsaid = None
