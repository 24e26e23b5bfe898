"""What every template may use: the reader's theme, the doors that exist, and figures and times in words."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from flask import Flask, current_app, g, request
from flask_login import current_user
from markupsafe import Markup, escape

from portal import policy
from portal.audit.sentences import sentence
from portal.config import Settings
from portal.rendering import plain
from portal.signing import csrf_token
from portal.values import countries, country_name, time_zones, zone

THEMES = ("light", "dark", "system")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TWO = tuple(f"{number:02}" for number in range(60))  # digits
Option = tuple[str, str, str]  # of a long list: group, value, words
NAVIGATION: tuple[tuple[str, str, Callable[[Any], policy.Answer] | None], ...] = (
    ("Overview", "overview.index", None),
    ("Agents", "agents.index", None),
    ("Users", "users.index", policy.administers_organization),
    ("Audit log", "audit.index", policy.administers_organization),
    ("Settings", "organizations.settings", policy.administers_organization),
)
WITHIN = {"users.index": ("jobs.index",)}  # rooms with an address of their own that stand behind another's door


def init_app(app: Flask) -> None:
    words = (role_name, when, number, sentence, rate, lasting, country_name)
    app.jinja_env.filters.update({word.__name__: word for word in words})
    ours: Settings = app.config["PORTAL"]
    same = {"registration_open": ours.registration == "open", "insecure": ours.insecure, "policy": policy}
    app.jinja_env.globals.update(
        **same,
        csrf_token=csrf_token,
        frame=frame,
        country_options=country_options,
        zone_options=zone_options,
    )
    app.context_processor(everywhere)


def everywhere() -> dict[str, Any]:
    actor = reader()
    return {
        "current_user": actor or g.get("_login_user", current_user),
        "theme": current_theme(),
        "density": getattr(actor, "density", None) or "comfortable",
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


class FrameKind(NamedTuple):
    """What decides how the frame of a page looks, as layouts/_top.html and _side.html draw it.

    `doors` are those that the reader may enter: label, address, and whether the page is behind it. `menu` is what the closed menu of a
    narrow page says.
    """

    role: str
    theme: str
    doors: tuple[tuple[str, str, bool], ...]
    menu: str


class FrameCells(NamedTuple):
    """Who reads, and the page's address."""

    organization_name: str
    full_name: str
    username: str
    email: str
    address: str
    csrf_token: str


def frame() -> tuple[FrameKind, FrameCells]:
    """The frame of a page within an organization, as `drawn` takes it."""
    who = reader() or current_user
    doors = tuple((label, rooms[0], any(_leads(request.path, room) for room in rooms)) for label, rooms in _open_to(who))
    menu = next((label for label, _, is_current in doors if is_current), "Menu")
    cells = FrameCells(who.organization_name, who.full_name, who.username, who.email, request.full_path.rstrip("?"), csrf_token())
    return FrameKind(who.role, current_theme(), doors, menu), cells


def _open_to(who: Any) -> list[tuple[str, list[str]]]:
    """The doors that somebody may enter: label, and the addresses of what is behind it, its own first."""
    address: Any = current_app.jinja_env.filters["url_for"]
    return [
        (label, [address(room) for room in (endpoint, *WITHIN.get(endpoint, ()))])
        for label, endpoint, question in NAVIGATION
        if question is None or question(who)
    ]


def _leads(path: str, url: str) -> bool:
    """The page itself, or one below it; every page is below the overview, which counts for itself only."""
    return path == url or (url != "/" and path.startswith(f"{url}/"))


def country_options(chosen: str | None) -> Markup:
    """All countries to choose from, the chosen one selected."""
    return _selected(_countries, chosen)


def zone_options(chosen: str | None) -> Markup:
    """All time zones to choose from, by area, the chosen one selected."""
    return _selected(_zones, chosen)


def _countries() -> list[Option]:
    return [("", "", "Choose a country"), *(("", code, name) for code, name in countries())]


def _zones() -> list[Option]:
    return [("", "", "Same as device"), *((area, name, place) for name, area, place in time_zones())]


def _selected(listed: Callable[[], list[Option]], chosen: str | None) -> Markup:
    text, ends = _options(listed)
    end = ends.get(chosen or "", ends[""])
    return Markup(f"{text[:end]} selected{text[end:]}")  # noqa: S704  (escaped where it was made)


@cache
def _options(listed: Callable[[], list[Option]]) -> tuple[str, dict[str, int]]:
    """The options of a list of hundreds, and for each value where in them its option's tag ends."""
    text, ends = "", {}
    for group, options in groupby(listed(), itemgetter(0)):
        text += Markup('<optgroup label="{}">').format(group) if group else ""
        for _, value, words in options:
            text += Markup('<option value="{}"').format(value)
            ends[value] = len(text)
            text += Markup(plain(Markup(">{}</option>").format(words)))  # noqa: S704  (escaped by format)
        text += "</optgroup>" if group else ""
    return text, ends


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
    return "never" if moment is None else times()(moment)


def times() -> Callable[[datetime], Markup]:
    """How this reader is told times, for pages that have dozens of them."""
    return partial(told, getattr(reader(), "time_zone", None))


def told(time_zone: str | None, moment: datetime) -> Markup:
    exact = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    shown = moment.astimezone(zone(time_zone)) if time_zone else exact
    name, kind = (escape(shown.tzname()), "") if time_zone else ("UTC", "when")
    day, minute, second = _written(shown)
    precise = exact.isoformat()[:19] if time_zone else f"{day}T{minute}:{second}"
    words = f'title="{day} {minute}:{second} {name}">{shown.day} {MONTHS[shown.month - 1]} {day[:4]}, {minute} {name}'
    return Markup(f'<time class="{kind}" datetime="{precise}Z" {words}</time>')  # noqa: S704  (of digits, and the name that was escaped)


def _written(moment: datetime) -> tuple[str, str, str]:
    """2026-01-31, 23:59 and 59. Not by isoformat, which takes as long as all the rest of a <time>, and pages have dozens of them."""
    day = f"{moment.year}-{TWO[moment.month]}-{TWO[moment.day]}"
    return day, f"{TWO[moment.hour]}:{TWO[moment.minute]}", TWO[moment.second]
