"""Doors and their guards: each view says who may enter, and receives what it was let in to see."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any
from uuid import UUID

from flask import Flask, current_app, request, session
from flask_login import current_user, login_user
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from portal.access_codes import services as access_codes
from portal.actor import Actor, Origin, Ticket
from portal.agents import services as agents
from portal.auth import services as auth
from portal.bulk import services as bulk
from portal.errors import Forbidden, NotFound, Unauthenticated
from portal.extensions import afterwards, login
from portal.imports import services as imports
from portal.invitations import services as invitations
from portal.jobs import services as jobs
from portal.organizations import services as organizations
from portal.policy import Allowed, Answer, Denied, is_platform
from portal.shares import services as shares
from portal.users import services as users

View = Callable[..., Any]
Question = Callable[..., Answer]
# What a parameter of a URL names, and who finds it within the actor's tenant; unknown and foreign are alike None.
NAMED: dict[str, tuple[str, Callable[[Actor, UUID], Any]]] = {
    "user_id": ("user", lambda actor, user_id: users.account(actor.tenant_id, user_id)),
    "invitation_id": ("invitation", lambda actor, invitation_id: invitations.invitation(actor.tenant_id, invitation_id)),
    "code_id": ("code", lambda actor, code_id: access_codes.access_code(actor.tenant_id, code_id)),
    "session_id": ("session", lambda actor, session_id: auth.own_session(session_id, by=actor)),
    "act_id": ("act", lambda actor, act_id: bulk.bulk_act(actor.tenant_id, act_id)),
    "upload_id": ("upload", lambda actor, upload_id: imports.upload(actor.tenant_id, upload_id)),
    "agent_id": ("agent", agents.agent),
    "share_id": ("share", shares.share),
    "job_id": ("job", lambda actor, job_id: jobs.job(actor.tenant_id, job_id)),
}
# What a view or a question may ask for besides.
GIVEN: dict[str, Callable[[Actor], Any]] = {
    "actor": lambda actor: actor,
    "tenant": lambda actor: organizations.tenant(actor.tenant_id),
}


def public(view: View) -> View:
    """Anybody may enter."""
    view.guard = "public"  # type: ignore[attr-defined]
    return view


def signed_in(view: View) -> View:
    """Whoever has signed in may enter."""
    return _guarded(view, None)


def requires(question: Question) -> Callable[[View], View]:
    """Enter when the policy answers the question with yes.

    The question is asked about the actor and the objects that its further parameters name; the view receives the objects that its
    own parameters name, never ids. What the URL names outside the actor's tenant is 404, a no is 403.
    """
    return lambda view: _guarded(view, question)


def unattended(view: View) -> View:
    """A page asks at this door by itself, again and again: that is no activity, and keeps nobody signed in. Stands below the guard."""
    view.unattended = True  # type: ignore[attr-defined]
    return view


def takes_files(largest: int, question: Question) -> Callable[[View], View]:
    """This door takes bodies of up to `largest` bytes, from those only whom the policy lets; others end at the limit of every door.

    Stands below the guard. What is sent is read before the guard is asked, because the form's token stands in it.
    """

    def mark(view: View) -> View:
        view.largest_body = largest, question  # type: ignore[attr-defined]
        return view

    return mark


def let_files_in() -> None:
    """Before anything reads the body of a request."""
    marked = getattr(current_app.view_functions.get(request.endpoint or ""), "largest_body", None)
    if marked and request.method == "POST" and current_user.is_authenticated and marked[1](current_user):
        request.max_content_length = request.max_form_memory_size = marked[0]


class Ended(Exception):
    """Whoever is answered piece by piece may no longer be. The connection is cut: nobody is to take the beginning for the whole."""


def go_on(actor: Actor, question: Callable[[Actor], Answer]) -> None:
    """Before each piece of a long answer: bind what is read for it, as the door did. Raises Ended where the session was ended, or the
    policy says no by now.
    """
    now = auth.actor_of(str(actor.credential), actor.origin, unattended=True)
    if now is None or not question(now):
        raise Ended("Whoever asked for this answer was signed out, or may not have it any more.")
    if is_platform(now.role):
        auth.act_above(now)


def _guarded(view: View, question: Question | None) -> View:
    asked = list(signature(question).parameters)[1:] if question else []
    wanted = list(signature(view).parameters)
    needed = {*asked, *wanted}

    @wraps(view)
    def door(**url: UUID) -> Any:
        actor = current_user._get_current_object()
        if not actor.is_authenticated:
            raise Unauthenticated
        if is_platform(actor.role):
            auth.act_above(actor)
        seen = _seen(url, actor, needed)
        answer = question(actor, *(seen[name] for name in asked)) if question else Allowed()
        if isinstance(answer, Denied):
            raise Forbidden(answer.reason, who_helps=answer.who_helps, afterwards=_note_refusal(actor, answer.reason))
        return view(**{name: seen[name] for name in wanted})

    door.guard = question.__name__ if question else "signed_in"  # type: ignore[attr-defined]
    door.needs = needed  # type: ignore[attr-defined]
    return door


def _seen(url: dict[str, UUID], actor: Actor, needed: set[str]) -> dict[str, Any]:
    """The objects by name: those of the URL, looked up within the actor's tenant, and those given to every door that asks."""
    seen = {name: give(actor) for name, give in GIVEN.items() if name in needed}
    for parameter, id_ in url.items():
        name, find = NAMED[parameter]
        found = find(actor, id_)
        if found is None:
            raise NotFound
        seen[name] = found
    return seen


def _note_refusal(actor: Actor, reason: str) -> Callable[[], None]:
    path = f"{request.method} {request.path}"
    return lambda: auth.note_refusal(actor, path, reason)


def origin() -> Origin:
    """Where the current request comes from."""
    return Origin(request.remote_addr, request.user_agent.string[:400] or None)


def keep_signed_in(credential: str) -> None:
    """Put a new credential into the browser's cookie; nothing of whoever used it before stays: neither the CSRF key nor the session."""
    if former := session.get("_user_id"):
        afterwards(lambda: auth.end_session(former))
    session.clear()
    login_user(Ticket(credential))


def own_page(target: str | None) -> str | None:
    """`target` when it is the path of one of our own pages that can be read with GET, else None."""
    if (
        not target
        or not target.startswith("/")
        or target.startswith("//")
        or any(ord(c) < 33 or c == "\\" or ord(c) == 127 for c in target)
    ):
        return None
    try:
        current_app.url_map.bind("").match(target.partition("?")[0].partition("#")[0], "GET")
    except (HTTPException, RequestRedirect):
        return None
    return target


@login.user_loader
def _actor(credential: str) -> Actor | None:
    """Below /api/ a cookie signs nobody in: a page of another site could send it along."""
    if request.path.startswith("/api/"):
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    return auth.actor_of(credential, origin(), unattended=getattr(view, "unattended", False))


def require_a_guard_on_every_door(app: Flask) -> None:
    """Raises RuntimeError, so that the portal does not start with a door that says nothing about who may enter,
    or that asks for what neither its URL nor its guard can give."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if not hasattr(view, "guard"):
            raise RuntimeError(f"{rule.endpoint} ({rule.rule}) has no guard")
        unknown = set() if view.guard == "public" else rule.arguments - NAMED.keys()
        missing: set[str] = getattr(view, "needs", set()) - GIVEN.keys() - {NAMED[name][0] for name in rule.arguments & NAMED.keys()}
        if unknown or missing:
            raise RuntimeError(f"{rule.endpoint} ({rule.rule}): the guard cannot give {', '.join(sorted(unknown | missing))}")
