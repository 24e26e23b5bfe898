"""Putting mails into the outbox."""

from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from portal.extensions import db
from portal.mail.models import OutboxMail

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]), undefined=StrictUndefined)


def queue(template: str, *, tenant_id: UUID, to: str, subject: str, **context: Any) -> None:
    """Put one mail into the outbox, as text and HTML from templates/mail/; it is sent only when the transaction is done."""
    environment = _environment()
    db.session.add(
        OutboxMail(
            tenant_id=tenant_id,
            recipient=to,
            subject=subject,
            body_text=environment.get_template(f"mail/{template}.txt").render(context),
            body_html=environment.get_template(f"mail/{template}.html").render(context),
        )
    )
