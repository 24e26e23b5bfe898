"""The doors of the own account."""

from flask import Blueprint, Response

from portal.access import keep_signed_in, signed_in
from portal.account.forms import PasswordForm
from portal.actor import Actor
from portal.auth import services as auth
from portal.auth.models import SignInSession
from portal.extensions import settings
from portal.responses import go_to, inline, page

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("/sessions")
@signed_in
def sessions(actor: Actor) -> Response:
    return page("account/sessions.html", sessions=auth.own_sessions(by=actor))


@blueprint.post("/sessions/<uuid:session_id>/end")
@signed_in
def end_session(session: SignInSession, actor: Actor) -> Response:
    auth.end_own_session(session, by=actor)
    if session.id == actor.session_id:
        return go_to("auth.sign_in", notice="You are signed out.", organization=actor.subdomain)
    return _ended(actor, "That session was ended.")


@blueprint.post("/sessions/end-others")
@signed_in
def end_other_sessions(actor: Actor) -> Response:
    ended = auth.end_other_sessions(by=actor)
    return _ended(actor, f"{ended} other {'session was' if ended == 1 else 'sessions were'} ended.")


@blueprint.route("/password", methods=["GET", "POST"])
@signed_in
def password(actor: Actor) -> Response:
    form = PasswordForm()
    if form.carry_out(auth.change_password, by=actor):
        keep_signed_in(form.result)
        return go_to("account.sessions", notice="Your password is changed. Every other session was ended.")
    status = 422 if form.is_submitted() else 200
    return page("account/password.html", status=status, form=form, password_min_length=settings().password_min_length)


def _ended(actor: Actor, notice: str) -> Response:
    return inline("account/_sessions.html", "account.sessions", notice=notice, sessions=auth.own_sessions(by=actor))
