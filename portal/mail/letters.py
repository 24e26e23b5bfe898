"""A mail of the outbox as the message that a mail server takes."""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

PORTAL = "Thanotopolis Portal"  # whoever the mail comes from where no organization stands behind it


@dataclass(frozen=True)
class Letter:
    """A message as bytes, and between whom; `international` where a server must know SMTPUTF8 to take the recipient's address."""

    message_id: str
    sender: str
    recipient: str
    content: bytes
    international: bool


def letter(
    *,
    sender: str,
    organization: str,
    recipient: str,
    subject: str,
    message_id: str,
    at: datetime,
    text: str,
    html: str | None,
) -> Letter:
    """The same content, whenever it is made again of the same mail, but for the boundary between its parts.

    Raises ValueError for what can be no mail: a recipient that is no address, a line break within a header.
    """
    to = envelope_address(recipient)
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(at)
    message["From"] = Address(organization, addr_spec=sender)
    local, _, domain = to.rpartition("@")
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"  # answers of absent people stay away
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    international = not to.isascii()
    policy = SMTPUTF8.clone(cte_type="7bit") if international else message.policy
    return Letter(message_id, sender, to, message.as_bytes(policy=policy), international)


def envelope_address(recipient: str) -> str:
    """The address as servers speak of it: its domain in ASCII, and all of it where the local part allows that."""
    from email_validator import validate_email

    address = validate_email(recipient, check_deliverability=False)
    return address.ascii_email or f"{address.local_part}@{address.ascii_domain}"
