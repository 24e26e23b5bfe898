"""What every template may use: the reader's theme, the doors that exist, and figures and times in words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, g, request, url_for
from flask_login import current_user
from markupsafe import Markup

from portal import policy
from portal.audit.sentences import sentence
from portal.extensions import settings
from portal.values import zone

THEMES = ("light", "dark", "system")
NAVIGATION: tuple[tuple[str, str, Callable[[Any], policy.Answer] | None], ...] = (
    ("Overview", "overview.index", None),
    ("Users", "users.index", policy.administers_organization),
    ("Audit log", "audit.index", policy.administers_organization),
    ("Settings", "organizations.settings", policy.administers_organization),
)


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(role_name=role_name, when=when, number=number, sentence=sentence, rate=rate, lasting=lasting)
    app.context_processor(everywhere)


def everywhere() -> dict[str, Any]:
    return {
        "current_user": current_user,
        "policy": policy,
        "theme": current_theme(),
        "density": getattr(reader(), "density", None) or "comfortable",
        "navigation": navigation,
        "registration_open": settings().registration == "open",
        "insecure": settings().insecure,
    }


def reader() -> Any:
    """Whoever is signed in and was looked up by this request; None for a visitor, who is looked up by nobody here."""
    actor = g.get("_login_user")
    return actor if actor is not None and actor.is_authenticated else None


def current_theme() -> str:
    """What the reader chose, else what this browser chose, 'system' when neither chose anything."""
    actor = reader()
    theme = (actor.theme if actor else None) or request.cookies.get("theme", "system")
    return theme if theme in THEMES else "system"


def navigation() -> list[dict[str, Any]]:
    """The doors that this reader may enter; none for a visitor, who is looked up by nobody here."""
    open_doors = [(label, url_for(endpoint)) for label, endpoint, question in NAVIGATION if question is None or question(current_user)]
    return [{"label": label, "url": url, "current": _leads_here(url)} for label, url in open_doors]


def _leads_here(url: str) -> bool:
    """The page itself, or one below it; every page is below the overview, which counts for itself only."""
    return request.path == url or (url != "/" and request.path.startswith(f"{url}/"))


def role_name(role: str) -> str:
    return policy.ROLE_NAMES[policy.Role(role)]


def number(figure: int | None) -> str:
    """A figure with thousands separated; an unknown one is said to be unknown."""
    return "not measured" if figure is None else f"{figure:,}"


def rate(per_second: float | None) -> str:
    """How quickly something goes on, in whole numbers per second or, where that is less than ten, per minute."""
    if per_second is None:
        return "not measured"
    return f"{per_second:,.0f} per second" if per_second >= 10 else f"{per_second * 60:,.0f} per minute"


def lasting(seconds: float | None) -> str:
    """A span of time as one speaks of it; an unknown one is said to be unknown."""
    if seconds is None:
        return "not measured"
    if seconds < 60:
        return "less than a minute"
    minutes = round(seconds / 60)
    if minutes < 90:
        return "about a minute" if minutes == 1 else f"about {minutes} minutes"
    return f"about {round(seconds / 3600)} hours"


def when(moment: datetime | None) -> Markup | str:
    """A <time> in the zone that the reader chose, else in UTC, which the page's script turns into the device's; 'never' for None."""
    if moment is None:
        return "never"
    chosen = getattr(reader(), "time_zone", None)
    local = moment.astimezone(zone(chosen) if chosen else UTC)
    name, kind = local.tzname(), "" if chosen else "when"
    exact = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = f"{local.day} {local:%b %Y, %H:%M} {name}"
    return Markup('<time class="{}" datetime="{}" title="{}">{}</time>').format(kind, exact, f"{local:%Y-%m-%d %H:%M:%S} {name}", shown)
