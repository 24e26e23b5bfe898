"""The doors of signing in and out."""

from flask import Blueprint, Response, request, session, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer

from portal.access import keep_signed_in, origin, own_page, public, signed_in
from portal.actor import Actor
from portal.auth import services
from portal.auth.commands import SignIn
from portal.auth.forms import SignInForm
from portal.auth.throttle import digest
from portal.config import new_secret
from portal.extensions import settings
from portal.responses import go_to, leave_for, page

blueprint = Blueprint("auth", __name__)
A_YEAR = 60 * 60 * 24 * 365
REMEMBERED_ACCOUNTS = 5


@blueprint.route("/sign-in", methods=["GET", "POST"])
@public
def sign_in() -> Response:
    form = SignInForm()
    if not form.is_submitted():
        form.organization.data = request.args.get("organization") or _organization_of_host()
        form.next.data = request.args.get("next")
        return page("auth/sign_in.html", form=form)
    if not form.carry_out(_sign_in):
        return page("auth/sign_in.html", status=422, form=form)
    keep_signed_in(form.result)
    response = leave_for(own_page(form.next.data) or url_for("overview.index"))
    _remember(response, services.account_key(form.command))
    return response


@blueprint.post("/sign-out")
@signed_in
def sign_out(actor: Actor) -> Response:
    services.sign_out(by=actor)
    session.clear()
    return go_to("auth.sign_in", notice="You are signed out.", organization=actor.subdomain)


def _sign_in(command: SignIn) -> str:
    browser, accounts = _remembered()
    known = digest(services.account_key(command)) in accounts
    return services.sign_in(command, origin=origin(), known_browser=browser if known else None)


def _organization_of_host() -> str | None:
    """The subdomain that this page was opened under, where the portal serves subdomains."""
    host, own = request.host.partition(":")[0].lower(), settings().hostname
    return host.removesuffix("." + own) if settings().serve_subdomains and host.endswith("." + own) else None


# A browser that has signed in to an account keeps a signed cookie saying so: strangers' guesses do not slow its owner down.
# The browser's own name in it stays the same however often the cookie is written anew, so that one browser has one count per account.


def _cookie_name() -> str:
    return "known" if settings().insecure else "__Host-known"


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings().secret_key, salt="known browser")


def _remembered() -> tuple[str, list[str]]:
    """The browser's name and the accounts that it has signed in to, latest first; a new name for a browser that tells none."""
    try:
        name, *accounts = _signer().loads(request.cookies.get(_cookie_name(), ""), max_age=A_YEAR)
    except (BadSignature, ValueError, TypeError):
        return new_secret(), []
    return str(name), [str(account) for account in accounts]


def _remember(response: Response, account: str) -> None:
    mine = digest(account)
    name, others = _remembered()
    kept = [name, mine, *(other for other in others if other != mine)][: REMEMBERED_ACCOUNTS + 1]
    response.set_cookie(
        _cookie_name(), str(_signer().dumps(kept)), max_age=A_YEAR, secure=not settings().insecure, httponly=True, samesite="Lax"
    )
