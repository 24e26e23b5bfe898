"""The doors of access codes: making them, joining by one, and deciding about who joined."""

from flask import Blueprint, Response, request

from portal import policy
from portal.access import keep_signed_in, origin, public, requires
from portal.access_codes import services
from portal.access_codes.forms import CodeForm, JoinForm, ShowCodeForm
from portal.access_codes.models import AccessCode
from portal.actor import Actor
from portal.extensions import limiter, settings
from portal.responses import go_to, page
from portal.users.models import User

blueprint = Blueprint("access_codes", __name__)


@blueprint.route("/users/codes", methods=["GET", "POST"])
@requires(policy.manages_access_codes)
def index(actor: Actor) -> Response:
    form = CodeForm()
    made = form.carry_out(services.make, nonce=form.nonce.data or "", by=actor)
    status = 200 if made else form.status
    shown = {"code": form.result if made else None, "form": CodeForm(formdata=None) if made else form}
    shown["join_url"] = services.join_url(actor.subdomain)
    return page("access_codes/index.html", status=status, codes=services.codes(actor.tenant_id), conflict=form.conflict, **shown)


@blueprint.post("/users/codes/<uuid:code_id>/withdraw")
@requires(policy.manages_access_codes)
def withdraw(code: AccessCode, actor: Actor) -> Response:
    services.withdraw(code, by=actor)
    return go_to("access_codes.index", notice="The code was withdrawn; nobody joins by it any more.")


@blueprint.post("/users/<uuid:user_id>/accept")
@requires(policy.manages_access_codes)
def accept(user: User, actor: Actor) -> Response:
    services.accept(user, by=actor)
    return go_to("users.show", user_id=user.id, notice=f"{user.full_name} is accepted and can sign in.")


@blueprint.post("/users/<uuid:user_id>/refuse")
@requires(policy.manages_access_codes)
def refuse(user: User, actor: Actor) -> Response:
    services.refuse(user, by=actor)
    return go_to("users.index", notice="The account was turned away; nothing of it stays.")


@blueprint.route("/join", methods=["GET", "POST"])
@public
@limiter.limit("60 per hour", methods=["POST"])
def join() -> Response:
    """Organization and code first, which show what they open; then who one is."""
    if request.method == "POST" and "password" in request.form:
        return _join()
    form = ShowCodeForm()
    if not form.is_submitted():
        form.organization.data = request.args.get("organization", "")[:63]
        return page("access_codes/show.html", form=form)
    if not form.carry_out(services.preview, origin=origin()):
        return page("access_codes/show.html", status=422, form=form)
    return _form_to_join(JoinForm(formdata=None, data=form.data), form.result)


def _join() -> Response:
    form = JoinForm()
    if not form.carry_out(services.join, origin=origin()):
        return _form_to_join(form, None, status=422)
    joined = form.result
    if joined.credential:
        keep_signed_in(joined.credential)
        return go_to("overview.index", notice=f"Welcome to {joined.organization}. You are signed in.")
    notice = f"You asked to join {joined.organization}. An administrator decides; then you can sign in here."
    return go_to("auth.sign_in", notice=notice, organization=joined.subdomain)


def _form_to_join(form: JoinForm, found: object, *, status: int = 200) -> Response:
    return page("access_codes/join.html", status=status, form=form, found=found, password_min_length=settings().password_min_length)
