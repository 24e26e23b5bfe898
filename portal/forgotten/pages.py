"""The doors for people who have forgotten something, and for administrators who help them."""

from flask import Blueprint, Response, request

from portal import policy
from portal.access import origin, public, requires
from portal.actor import Actor
from portal.extensions import limiter, settings
from portal.forgotten import services
from portal.forgotten.forms import ChoosePasswordForm, FindOrganizationsForm, ForgotPasswordForm, MakeLinkForm
from portal.mail import services as mail
from portal.responses import go_to, page
from portal.users.models import User

blueprint = Blueprint("forgotten", __name__)


@blueprint.route("/forgotten", methods=["GET", "POST"])
@public
def password() -> Response:
    form = ForgotPasswordForm()
    if form.carry_out(services.ask_for_link, origin=origin()):
        notice = (
            "If this account exists and may sign in, a link for a new password is on its way to its e-mail address. It works for an hour."
        )
        return go_to("auth.sign_in", notice=notice, organization=form.command.organization)
    if not form.is_submitted():
        form.organization.data = request.args.get("organization", "")[:63]
    return page("forgotten/password.html", status=form.status, form=form, mail_is_sent=mail.is_configured(), not_sent=services.NOT_SENT)


@blueprint.route("/forgotten/organizations", methods=["GET", "POST"])
@public
def organizations() -> Response:
    form = FindOrganizationsForm()
    if form.carry_out(services.ask_for_organizations, origin=origin()):
        notice = (
            "Each organization that has an account with this address sends a mail to it. If none comes, no organization knows the address."
        )
        return go_to("auth.sign_in", notice=notice)
    return page("forgotten/organizations.html", status=form.status, form=form, mail_is_sent=mail.is_configured())


@blueprint.route("/reset/<credential>", methods=["GET", "POST"])
@public
@limiter.limit("120 per hour", methods=["POST"])
def reset(credential: str) -> Response:
    found = services.opened(credential)
    form = ChoosePasswordForm()
    names = (found["first_name"], found["last_name"], found["username"], found["account_email"], found["organization"])
    form.names = [name for name in names if name]
    if form.carry_out(services.choose_password, credential, origin=origin()):
        notice = "Your new password is kept, and every session of your account was ended. Sign in with it."
        return go_to("auth.sign_in", notice=notice, organization=form.result)
    minimum = settings().password_min_length
    return page("forgotten/reset.html", status=form.status, form=form, found=found, credential=credential, password_min_length=minimum)


@blueprint.route("/users/<uuid:user_id>/password-link", methods=["GET", "POST"])
@requires(policy.administers_organization)
def make_link(user: User, actor: Actor) -> Response:
    """The link is shown once; the page is made for this answer alone."""
    form, may = MakeLinkForm(), policy.can_make_password_link(actor, user)
    if form.carry_out(services.make_link, user, by=actor):
        return page("forgotten/link.html", user=user, form=form, may=may, link=form.result)
    return page("forgotten/link.html", status=form.status, user=user, form=form, may=may)
