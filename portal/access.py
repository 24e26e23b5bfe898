"""Doors and their guards: each view says who may enter, and receives what it was let in to see."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from flask import Flask, current_app, request, session
from flask_login import current_user, login_user
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from portal.actor import Origin, Ticket
from portal.auth import services as auth
from portal.errors import Forbidden, Unauthenticated
from portal.extensions import login
from portal.policy import Allowed, Answer, Denied

View = Callable[..., Any]
Question = Callable[..., Answer]


def public(view: View) -> View:
    """Anybody may enter."""
    view.guard = "public"  # type: ignore[attr-defined]
    return view


def signed_in(view: View) -> View:
    """Whoever has signed in may enter."""
    return _guarded(view, None)


def requires(question: Question) -> Callable[[View], View]:
    """Enter when the policy's question about the actor and the objects in the URL is answered with yes."""
    return lambda view: _guarded(view, question)


def _guarded(view: View, question: Question | None) -> View:
    wanted = list(signature(question).parameters)[1:] if question else []

    @wraps(view)
    def door(**seen: Any) -> Any:
        if not current_user.is_authenticated:
            raise Unauthenticated
        answer = question(current_user, *(seen[name] for name in wanted)) if question else Allowed()
        if isinstance(answer, Denied):
            raise Forbidden(answer.reason, who_helps=answer.who_helps, afterwards=_note_refusal(answer.reason))
        return view(**seen)

    door.guard = question.__name__ if question else "signed_in"  # type: ignore[attr-defined]
    return door


def _note_refusal(reason: str) -> Callable[[], None]:
    actor, path = current_user._get_current_object(), f"{request.method} {request.path}"
    return lambda: auth.note_refusal(actor, path, reason)


def origin() -> Origin:
    """Where the current request comes from."""
    return Origin(request.remote_addr, request.user_agent.string[:400] or None)


def keep_signed_in(credential: str) -> None:
    """Put a new credential into the browser's cookie; nothing of whoever used it before stays, the CSRF key neither."""
    session.clear()
    login_user(Ticket(credential))


def own_page(target: str | None) -> str | None:
    """`target` when it is the path of one of our own pages that can be read with GET, else None."""
    if not target or not target.startswith("/") or target.startswith("//") or any(ord(c) < 33 or c == "\\" or ord(c) == 127 for c in target):
        return None
    try:
        current_app.url_map.bind("").match(target.partition("?")[0].partition("#")[0], "GET")
    except (HTTPException, RequestRedirect):
        return None
    return target


@login.user_loader
def _actor(credential: str) -> Any:
    return auth.actor_of(credential, origin())


def require_a_guard_on_every_door(app: Flask) -> None:
    """Raises RuntimeError, so that the portal does not start with a door that says nothing about who may enter."""
    for rule in app.url_map.iter_rules():
        if not hasattr(app.view_functions[rule.endpoint], "guard"):
            raise RuntimeError(f"{rule.endpoint} ({rule.rule}) has no guard")
