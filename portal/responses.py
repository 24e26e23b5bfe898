"""How answers leave: a page for a browser, a fragment for htmx, problem details for programs; one road for refusals."""

import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)
from flask.globals import request_ctx
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.urls import iri_to_uri

from portal import extensions
from portal.config import LOCAL_HOSTS
from portal.errors import Conflict, NotFound, Refusal, Unavailable

log = logging.getLogger(__name__)

TITLES = {
    400: "This request cannot be understood",
    401: "Sign in to go on",
    403: "This is not open to you",
    404: "Nothing here",
    405: "This address does not take that",
    409: "Changed in the meantime",
    411: "How long is it",
    413: "Too large",
    415: "Unknown kind of data",
    422: "Some answers need another look",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    503: "Not reachable right now",
}
SENTENCES = {
    400: "Go back, reload the page and try again.",
    404: NotFound.default_message,
    405: "Use the forms and links of the portal's own pages.",
    411: "What was sent does not say how long it is. Send it with a Content-Length.",
    413: "What was sent is larger than the portal takes. Shorten the texts and send them again.",
    429: "Wait a little, then try again.",
    500: "Nothing was changed. The fault has been written to the portal's log; try again in a moment.",
}


VARY = "Cookie, HX-Request-Type, Accept-Encoding"
DEADLOCK = "40P01"  # PostgreSQL's word for two who wait for each other, of whom it has ended this one
A_YEAR = 60 * 60 * 24 * 365
FASTER = "Somebody else changed the same thing just now. Nothing was saved; look again and repeat what is still needed."


def wants_fragment() -> bool:
    """htmx asks for a part of the page; history restores and boosted visits ask for all of it."""
    return request.headers.get("HX-Request-Type") == "partial"


def page(template: str, *, status: int = 200, **context: Any) -> Response:
    """A page, or the fragment that a page includes; 422 where what was typed was refused."""
    return current_app.response_class(render_template(template, **context), status)


def address(endpoint: str) -> str:
    """The address of a door that has no variable part, worked out once."""
    return str(current_app.jinja_env.filters["url_for"](endpoint))


def go_to(endpoint: str, notice: str | None = None, **values: Any) -> Response:
    """On to another page; htmx is told by header, because it would follow a redirect into the row."""
    if notice:
        flash(notice)
    return leave_for(url_for(endpoint, **values))


def leave_for(url: str) -> Response:
    if wants_fragment():
        return make_response("", 200, {"HX-Redirect": iri_to_uri(url)})
    return make_response(redirect(url, 303))


def page_or_fragment(template: str, fragment: str, *, status: int = 200, **context: Any) -> Response:
    """The page, or for htmx the fragment that it includes."""
    return page(fragment if wants_fragment() else template, status=status, **context)


def inline(template: str, back_to: str, where: dict[str, Any] | None = None, *, notice: str, **context: Any) -> Response:
    """The answer to an act within a page: the fragment as it is now for htmx, else back to the page (`where` it is) with a notice."""
    if wants_fragment():
        return page(template, notice=notice, **context)
    return go_to(back_to, notice=notice, **(where or {}))


def download(name: str, pieces: Iterator[str], mimetype: str = "text/csv") -> Response:
    """A file, sent piece by piece while it is read; `pieces` end their own transactions."""
    response = Response(stream_with_context(pieces), mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def keep_theme(response: Response, theme: str) -> None:
    """Let this browser's pages for visitors look alike."""
    response.set_cookie("theme", theme, max_age=A_YEAR, secure=not extensions.settings().insecure, httponly=True, samesite="Lax")


def nothing_to_show() -> Response | None:
    """An empty answer for htmx, whose page stays as it is; None for a browser, which has to go somewhere."""
    return make_response("", 204) if wants_fragment() else None


def init_app(app: Flask) -> None:
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(CSRFError, refuse_csrf)
    app.register_error_handler(HTTPException, refuse_http)
    app.register_error_handler(DBAPIError, refuse_database)
    app.register_error_handler(StaleDataError, refuse_database)
    app.register_error_handler(PoolTimeout, refuse_database)
    app.register_error_handler(Exception, refuse_fault)
    app.after_request(finish)


def finish(response: Response) -> Response:
    """Commit what an answer below 400 says was done; a commit that fails is an answer too."""
    if response.status_code >= 400:
        extensions.rollback()
    else:
        response = _committed(response)
    if "Vary" in response.headers:
        response.vary.update(VARY.split(", "))
    else:
        response.headers["Vary"] = VARY
    return response


def _committed(response: Response) -> Response:
    try:
        extensions.commit()
        return response
    except (StaleDataError, DBAPIError, PoolTimeout) as error:
        session.pop("_flashes", None)  # they say that it was done
        return refuse_database(error)


def refuse(refusal: Refusal) -> Response:
    """Every refusal's answer: rolled back first, then what must stay, then in the form that was asked for."""
    _end(refusal)
    message = " ".join(refusal.fields.values()) or refusal.message  # where no form stands there to show them beside its fields
    return _rendered(refusal.status, message, refusal.fields, refusal.who_helps, refusal.retry_after)


def _end(refusal: Refusal) -> None:
    try:
        extensions.rollback()
        if refusal.afterwards:
            extensions.on_its_own(refusal.afterwards)
    except (DBAPIError, PoolTimeout):
        log.exception("what should stay after a refusal was not written")
        extensions.rollback()


def _rendered(
    status: int, message: str, fields: dict[str, str] | None = None, who_helps: str | None = None, retry_after: int | None = None
) -> Response:
    if request_ctx.url_adapter is None:  # a host name that is not ours: the page's links lead to our own
        request_ctx.url_adapter = current_app.url_map.bind(extensions.settings().hostname)
    response = _in_the_form_asked_for(status, message, fields or {}, who_helps, retry_after)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _in_the_form_asked_for(status: int, message: str, fields: dict[str, str], who_helps: str | None, retry_after: int | None) -> Response:
    title = TITLES.get(status, "Refused")
    if request.path.startswith("/api/"):
        errors = [{"pointer": "/" + name.replace(".", "/"), "detail": text} for name, text in fields.items()]
        told = {"errors": errors, "who_helps": who_helps}
        answer = jsonify(
            type="about:blank", title=title, status=status, detail=message, **{key: value for key, value in told.items() if value}
        )
        answer.content_type = "application/problem+json"
        answer.status_code = status
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if status == 401:
        return _to_sign_in()
    if wants_fragment():
        html = render_template("errors/_notice.html", message=message, who_helps=who_helps)
        return make_response(html, status, {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML"})
    page = {"title": title, "message": message, "who_helps": who_helps, "retry_after": retry_after, "signed_in": _is_signed_in(status)}
    return make_response(render_template("errors/page.html", status=status, **page), status)


def _is_signed_in(status: int) -> bool:
    """Whether somebody who is signed in reads this, looked up now where nobody was before; not after a fault, and where none can be."""
    if status >= 500:
        known = g.get("_login_user")
        return known is not None and bool(known.is_authenticated)
    try:
        return bool(current_user.is_authenticated)
    except (DBAPIError, PoolTimeout):
        return False


def _to_sign_in() -> Response:
    had_session = session.pop("_user_id", None) is not None
    if had_session:
        flash("You were signed out. Sign in to go on.")
    wanted = request.full_path.rstrip("?") if request.method == "GET" and not wants_fragment() else None
    door = url_for("auth.sign_in", next=wanted if wanted != "/" else None)
    return make_response("", 401, {"HX-Redirect": iri_to_uri(door)}) if wants_fragment() else make_response(redirect(door, 303))


def refuse_http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return make_response(error.get_response())
    extensions.rollback()
    message = SENTENCES.get(error.code, str(error.description or TITLES.get(error.code)))
    response = _rendered(error.code, message, retry_after=_seconds_to_wait() if error.code == 429 else None)
    response.headers.extend({name: value for name, value in error.get_headers() if name == "Allow"})
    return response


def _seconds_to_wait() -> int | None:
    """Until the limit that this request broke starts anew."""
    broken = extensions.limiter.current_limit
    return max(1, int(broken.reset_at - time.time()) + 1) if broken else None


def refuse_csrf(error: CSRFError) -> Response:
    ours = extensions.settings()
    elsewhere = urlsplit(f"//{request.host}").hostname not in LOCAL_HOSTS
    if elsewhere and not request.cookies and not request.is_secure and not ours.insecure:
        message = (
            f"Your browser kept no cookie, because this page came over plain http from {request.host}. Open {ours.public_url} instead."
        )
    else:
        message = "This page was open too long, or your browser keeps no cookies for it. Go back, reload the page and send it again."
    return refuse(Refusal(message))


def refuse_database(error: Exception) -> Response:
    """The database is away, or somebody else was faster: true statuses, never a success page and never a 0."""
    deadlocked = getattr(getattr(error, "orig", None), "pgcode", None) == DEADLOCK
    if deadlocked or isinstance(error, (StaleDataError, IntegrityError)):
        log.warning("refused by the database: %s", str(error).splitlines()[0])
        return refuse(Conflict(FASTER))
    unreachable = isinstance(error, (OperationalError, PoolTimeout)) or getattr(error, "connection_invalidated", False)
    if not unreachable:
        return refuse_fault(error)
    log.error("database not reachable: %s", str(error).splitlines()[0])
    return refuse(Unavailable(retry_after=5))


def refuse_fault(error: Exception) -> Response:
    secret = (request.view_args or {}).get("credential")  # the link still works
    path = request.path.replace(secret, "…") if secret else request.path
    log.error("unexpected fault on %s %r", request.method, path, exc_info=error)
    _end(Refusal())
    return _rendered(500, SENTENCES[500])
