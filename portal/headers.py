"""What every answer tells the browser, and which unsafe requests are not ours."""

from flask import Flask, Response, abort, request, session

from portal.errors import Forbidden
from portal.extensions import settings

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE = {"GET", "HEAD", "OPTIONS"}


def init_app(app: Flask) -> None:
    app.after_request(add_headers)


def refuse_unmeasured() -> None:
    """A body that does not say how long it is would be cut at the limit and taken for the whole."""
    if "HTTP_TRANSFER_ENCODING" in request.environ and request.content_length is None:
        abort(411)


def refuse_cross_site() -> None:
    """An unsafe request that another site's page sent is refused, whatever token it carries."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is not None:  # an older browser, or a program that says where it comes from
        foreign = origin.partition("://")[2] != request.host
    else:
        foreign = site not in (None, "same-origin", "none")
    if foreign:
        raise Forbidden("This form was sent from another website. Open the portal's own page and send it from there.")


def add_headers(response: Response) -> Response:
    """What a view has set itself stays. All at once: each single look into the headers goes through all of them."""
    ours = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if settings().https else {})
    if "credential" in (request.view_args or {}):  # the address is a secret: what is loaded with the page must not write it into a log
        ours["Referrer-Policy"] = "strict-origin"
    if session.accessed or request.method not in SAFE:
        response.headers["Cache-Control"] = "no-store"
    present = {name.lower() for name, _ in response.headers}
    response.headers.extend([(name, value) for name, value in ours.items() if name.lower() not in present])
    return response
