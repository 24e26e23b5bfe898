"""Handing a letter to a mail server, or into a folder: who refuses, who only cannot now, and nobody is held for long."""

import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from portal.config import MailServer
from portal.mail.letters import Letter

CONNECT = 10  # seconds for each step of getting through to the server
TALK = 120  # seconds for all that is said about one letter: some servers look at it long before they say that they have it
ENOUGH = 100  # letters after which a line is ended; servers do not like endless ones
SHOWN = 300  # characters of what a server said


class Refused(Exception):
    """The server will never take this letter; the message says why."""


class NotNow(Exception):
    """The server did not take this letter, but may later; the message says why."""


class Unreachable(Exception):
    """The server takes no letter at all now; the message says why, and not which server it is: an organization may read it."""


class Post(Protocol):
    """Where letters are handed in."""

    def open(self) -> None:
        """Get ready for letters; nothing happens when it is. Raises Unreachable."""

    def deliver(self, letter: Letter) -> None:
        """Returns when the letter is in the other's hands. Raises Refused or NotNow."""

    def close(self) -> None:
        """End politely; nothing happens when nothing is open."""


def post_to(server: MailServer, sender: str) -> Post:
    """The way to a mail server, or into a folder."""
    return Folder(server.folder) if server.folder else Line(server, hello=sender.rpartition("@")[2])


class Line:
    """A connection to a mail server, kept for further letters; `hello` is the name by which the portal greets it."""

    def __init__(self, server: MailServer, hello: str) -> None:
        self.server, self.hello = server, hello
        self.smtp: smtplib.SMTP | None = None
        self.delivered = 0
        self.overdue = False

    def open(self) -> None:
        if self.smtp is not None and self.delivered < ENOUGH:
            return
        self.close()
        with self._limited():
            try:
                self._get_through()
            except (smtplib.SMTPException, OSError) as error:
                self._drop()
                raise Unreachable(f"the mail server cannot be used: {self._told(error)}") from None

    def _get_through(self) -> None:
        """Raises what smtplib and ssl raise: a certificate that cannot be trusted, a server without STARTTLS, a wrong password."""
        server, self.delivered = self.server, 0
        if server.scheme == "smtps":
            context = ssl.create_default_context()
            self.smtp = smtplib.SMTP_SSL(server.host, server.port, self.hello, timeout=CONNECT, context=context)
        else:
            self.smtp = smtplib.SMTP(server.host, server.port, self.hello, timeout=CONNECT)
        self.smtp.ehlo_or_helo_if_needed()
        if server.starttls:
            self.smtp.starttls(context=ssl.create_default_context())
            self.smtp.ehlo_or_helo_if_needed()
        if server.user:
            self.smtp.login(server.user, server.password)
        if self.smtp.sock is not None:
            self.smtp.sock.settimeout(2 * TALK)  # so that the limit of the whole talk is what ends it

    def deliver(self, letter: Letter) -> None:
        assert self.smtp is not None, "open() comes first"
        with self._limited():
            try:
                self._hand_in(self.smtp, letter)
                self.delivered += 1
            except (smtplib.SMTPServerDisconnected, OSError) as error:
                self._drop()
                raise NotNow(self._told(error)) from None
            except (Refused, NotNow):
                self._start_over()
                raise

    def _hand_in(self, smtp: smtplib.SMTP, letter: Letter) -> None:
        options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.international else []
        if letter.international and not smtp.has_extn("smtputf8"):
            raise Refused("The mail server takes no addresses with letters beyond ASCII.")
        # Refusing the sender says nothing of this letter: the portal's settings may be mended in the course of a day.
        self._must(smtp.mail(letter.sender, options), {250}, final=False)
        self._must(smtp.rcpt(letter.recipient), {250, 251, 252}, final=True)
        try:
            self._must(smtp.data(letter.content), {250}, final=True)
        except smtplib.SMTPDataError as error:
            self._must((error.smtp_code, _bytes(error.smtp_error)), set(), final=True)

    @staticmethod
    def _must(answer: tuple[int, bytes], right: set[int], *, final: bool) -> None:
        code, said = answer
        if code in right:
            return
        if code < 0:  # smtplib's way to say that the answer broke off
            raise smtplib.SMTPServerDisconnected
        told = _line(f"{code} {said.decode('utf-8', 'replace')}")
        raise Refused(told) if final and 500 <= code < 600 else NotNow(told)

    def _start_over(self) -> None:
        """Ready for the next letter, or without a line where the server leaves."""
        try:
            if self.smtp and self.smtp.rset()[0] != 250:
                self._drop()
        except (smtplib.SMTPException, OSError):
            self._drop()

    def close(self) -> None:
        if self.smtp is not None:
            with self._limited(), suppress(smtplib.SMTPException, OSError):
                self.smtp.quit()
            self._drop()

    def _drop(self) -> None:
        smtp, self.smtp = self.smtp, None
        if smtp is not None:
            smtp.close()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """However slowly the server speaks, it is over after TALK seconds."""
        self.overdue = False
        timer = threading.Timer(TALK, self._end_overdue)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end_overdue(self) -> None:
        """From the timer's thread: whoever waits for the server wakes up and finds the connection ended."""
        self.overdue, sock = True, getattr(self.smtp, "sock", None)
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the plain socket's way with TLS too, which would ask the other side

    def _told(self, error: Exception) -> str:
        """One line for people of what went wrong, in the server's words where it said something."""
        if self.overdue:
            return f"it did not come to an end within {TALK} seconds"
        if isinstance(error, smtplib.SMTPResponseException):
            return _line(f"{error.smtp_code} {_bytes(error.smtp_error).decode('utf-8', 'replace')}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return _line(f"its certificate is not trusted ({error.verify_message})")
        if isinstance(error, TimeoutError) or "timed out" in str(error):
            return "it did not answer in time"
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return "it ended the connection"
        return _line(getattr(error, "strerror", None) or str(error) or type(error).__name__)


class Folder:
    """For development: a file for each letter, named by its Message-ID, so that the same one again is the same file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"the folder for mails cannot be made: {error.strerror}") from None

    def deliver(self, letter: Letter) -> None:
        name = letter.message_id.strip("<>").replace("/", "_")
        draft = self.folder / f".{name}"
        try:
            with open(draft, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(letter.content)
            draft.rename(self.folder / f"{name}.eml")
        except OSError as error:
            raise NotNow(f"the folder for mails cannot be written to: {error.strerror}") from None

    def close(self) -> None:
        pass


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def _line(text: str) -> str:
    """What a server said, as one line that can be shown."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:SHOWN]
