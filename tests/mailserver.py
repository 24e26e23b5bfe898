"""A real mail server (aiosmtpd) for the tests, as unkind as mail servers are."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Manners:
    """What it says instead of yes at a stage (greeting, MAIL, RCPT, DATA, content), and how else it behaves; may change while it runs."""

    says: dict[str, str] = field(default_factory=dict)
    hangs: bool = False  # takes a mail and does not say so
    drips: bool = False  # says that it has a mail, a letter a tenth of a second
    dies: bool = False  # takes a mail and ends the connection
    user: tuple[str, str] | None = None
    refuses_recipients: set[str] = field(default_factory=set)


class Mailbox:
    """What came in: the envelope's sender and recipient, and the message; and how often somebody connected."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        self.begun = threading.Event()  # a mail was taken; whether that was said is another matter
        self.connections = self.held = 0
        self.commands: list[str] = []
        self.url = ""

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(content, policy=default) for _, _, content in self.taken]

    @property
    def message_ids(self) -> list[str]:
        return [message["Message-ID"] for message in self.messages]


class Unkind(SMTP):
    def __init__(self, manners: Manners, mailbox: Mailbox, **options: Any) -> None:
        super().__init__(self, **options)
        self.manners, self.mailbox = manners, mailbox

    def connection_made(self, transport: Any) -> None:
        self.mailbox.connections += 1
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        text = status.decode() if isinstance(status, bytes) else status
        if text.startswith("220 ") and "greeting" in self.manners.says and self.session.host_name is None:
            await super().push(self.manners.says["greeting"])
            self.transport.close()
        else:
            await super().push(status)

    async def handle_EHLO(self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: list[str]) -> list[str]:
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        self.mailbox.commands.append("MAIL")
        if "MAIL" not in self.manners.says:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.manners.says.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.manners.refuses_recipients:
            return "550 5.1.1 Nobody of that name here"
        if "RCPT" not in self.manners.says:
            envelope.rcpt_tos.append(address)
        return self.manners.says.get("RCPT", "250 OK")

    async def smtp_DATA(self, arg: str) -> None:
        if "DATA" in self.manners.says:
            await self.push(self.manners.says["DATA"])
        else:
            await super().smtp_DATA(arg)

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if "content" not in self.manners.says:
            self.mailbox.taken.append((envelope.mail_from, envelope.rcpt_tos[0], envelope.content))
        self.mailbox.begun.set()
        self.mailbox.held += 1
        while self.manners.hangs:
            await asyncio.sleep(0.02)
        self.mailbox.held -= 1
        if self.manners.dies:
            self.transport.abort()
        while self.manners.drips:
            self._writer.write(b"x")
            await asyncio.sleep(0.1)
        return self.manners.says.get("content", "250 OK")

    def authenticate(self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.manners.user, handled=False)


@contextmanager
def mail_server(
    manners: Manners | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Mailbox]:
    """Listens within the block, on a port of its own; `tls` is spoken from the first byte, `tls_context=` offers STARTTLS."""
    manners, mailbox = manners or Manners(), Mailbox()
    listener = socket.create_server((host, 0))
    mailbox.url = f"{'smtps' if tls else 'smtp'}://{host}:{listener.getsockname()[1]}"
    loop, ready = asyncio.new_event_loop(), threading.Event()

    def make() -> Unkind:
        made = Unkind(manners, mailbox, **{"hostname": "mail.example", "enable_SMTPUTF8": True, "loop": loop, **options})
        if manners.user:
            made._authenticator = made.authenticate
        return made

    async def serve() -> None:
        await loop.create_server(make, sock=listener, ssl=tls)
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield mailbox
    finally:
        manners.hangs = manners.drips = False
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        listener.close()
