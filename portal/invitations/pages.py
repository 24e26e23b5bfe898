"""The doors of invitations: sending them, and accepting one."""

from typing import Any

from flask import Blueprint, Response

from portal import policy
from portal.access import keep_signed_in, origin, public, requires
from portal.actor import Actor
from portal.extensions import limiter, settings
from portal.invitations import services
from portal.invitations.forms import AcceptForm, InviteForm, SendAgainForm
from portal.invitations.models import Invitation
from portal.mail import services as mail
from portal.responses import go_to, page

blueprint = Blueprint("invitations", __name__)


@blueprint.get("/users/invitations")
@requires(policy.administers_organization)
def index(actor: Actor) -> Response:
    return _pending_page(actor)


@blueprint.route("/users/invite", methods=["GET", "POST"])
@requires(policy.administers_organization)
def invite(actor: Actor) -> Response:
    form = InviteForm()
    if form.carry_out(services.invite, by=actor):
        return page("invitations/invited.html", answers=form.result, mail_is_sent=mail.is_configured(), role=form.command.role)
    roles = policy.grantable_roles(actor)
    form.role.choices = [(str(role), policy.ROLE_NAMES[role]) for role in roles]
    may = policy.can_invite(actor, policy.Role.USER) if not roles else None
    return page("invitations/invite.html", status=form.status, form=form, may=may, mail_is_sent=mail.is_configured())


@blueprint.post("/users/invitations/<uuid:invitation_id>/send-again")
@requires(policy.administers_organization)
def send_again(invitation: Invitation, actor: Actor) -> Response:
    """The new link is shown once; the page is made for this answer alone."""
    form, asked = SendAgainForm(), invitation.id
    if form.carry_out(services.send_again, invitation, by=actor):
        return _pending_page(actor, link=form.result, link_of=asked)
    if form.conflict:  # there is nothing here of which two versions could be shown
        raise form.conflict
    return _pending_page(actor, status=422, form=form, asked=asked)


@blueprint.post("/users/invitations/<uuid:invitation_id>/withdraw")
@requires(policy.administers_organization)
def withdraw(invitation: Invitation, actor: Actor) -> Response:
    services.withdraw(invitation, by=actor)
    return go_to("invitations.index", notice="The invitation was withdrawn; its link does not work any more.")


@blueprint.route("/join/<credential>", methods=["GET", "POST"])
@public
@limiter.limit("120 per hour", methods=["POST"])
def accept(credential: str) -> Response:
    form = AcceptForm()
    found = services.opened(credential)
    if not form.is_submitted():
        form.first_name.data, form.last_name.data = found["first_name"], found["last_name"]
    elif form.carry_out(services.accept, credential, origin=origin()):
        keep_signed_in(form.result)
        return go_to("overview.index", notice=f"Welcome to {found['organization']}. You are signed in.")
    minimum = settings().password_min_length
    return page("invitations/accept.html", status=form.status, form=form, found=found, credential=credential, password_min_length=minimum)


def _pending_page(actor: Actor, *, status: int = 200, **shown: Any) -> Response:
    invitations = services.pending(actor.tenant_id)
    return page("invitations/index.html", status=status, invitations=invitations, mail_is_sent=mail.is_configured(), **shown)
