"""What every template may use: the reader's theme, the doors that exist, and figures and times in words."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask, current_app, g, request
from flask_login import current_user
from markupsafe import Markup

from portal import policy
from portal.audit.sentences import sentence
from portal.extensions import settings

THEMES = ("light", "dark", "system")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAVIGATION: tuple[tuple[str, str, Callable[[Any], policy.Answer] | None], ...] = (
    ("Overview", "overview.index", None),
    ("Audit log", "audit.index", policy.administers_organization),
    ("Settings", "organizations.settings", policy.administers_organization),
)


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(role_name=role_name, when=when, number=number, sentence=sentence)
    app.context_processor(everywhere)


def everywhere() -> dict[str, Any]:
    return {
        "current_user": g.get("_login_user", current_user),  # looked up by its door already, or by nobody
        "policy": policy,
        "theme": current_theme(),
        "navigation": navigation,
        "registration_open": settings().registration == "open",
        "insecure": settings().insecure,
    }


def current_theme() -> str:
    """What this browser chose, 'system' when it chose nothing."""
    theme = request.cookies.get("theme", "system")
    return theme if theme in THEMES else "system"


def navigation() -> list[dict[str, Any]]:
    """The doors that this reader may enter; none for a visitor, who is looked up by nobody here."""
    url_for = current_app.jinja_env.globals["url_for"]
    return [
        {"label": label, "url": url_for(endpoint), "current": request.endpoint == endpoint}
        for label, endpoint, question in NAVIGATION
        if question is None or question(current_user)
    ]


def role_name(role: str) -> str:
    return policy.ROLE_NAMES[policy.Role(role)]


def number(figure: int | None) -> str:
    """A figure with thousands separated; an unknown one is said to be unknown."""
    return "not measured" if figure is None else f"{figure:,}"


def when(moment: datetime | None) -> Markup | str:
    """A <time> in UTC, which the page's script turns into the reader's zone; 'never' for None."""
    if moment is None:
        return "never"
    day, time = f"{moment.year:04}-{moment.month:02}-{moment.day:02}", f"{moment.hour:02}:{moment.minute:02}"
    shown = f"{moment.day} {MONTHS[moment.month - 1]} {moment.year:04}, {time} UTC"
    exact = f'datetime="{day}T{time}:{moment.second:02}Z" title="{day} {time}:{moment.second:02} UTC"'
    return Markup(f'<time class="when" {exact}>{shown}</time>')  # noqa: S704  (of digits only)
