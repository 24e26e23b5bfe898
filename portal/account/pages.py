"""The doors of the own account."""

from typing import Any

from flask import Blueprint, Response, request

from portal.access import keep_signed_in, origin, public, signed_in
from portal.account import services
from portal.account.forms import EmailForm, PasswordForm, PreferencesForm, ProfileForm
from portal.actor import Actor
from portal.auth import services as auth
from portal.auth.models import SignInSession
from portal.extensions import limiter, settings
from portal.mail import services as mail
from portal.responses import go_to, inline, keep_theme, page
from portal.words import current_theme

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
@signed_in
def index(actor: Actor) -> Response:
    return _account_page(actor)


@blueprint.post("/profile")
@signed_in
def profile(actor: Actor) -> Response:
    form = ProfileForm()
    if form.carry_out(services.edit_profile, by=actor, now=lambda: services.profile_of(services.account(by=actor))):
        return go_to("account.index", notice="Saved.")
    return _account_page(actor, status=form.status, profile=form)


@blueprint.post("/email")
@signed_in
def email(actor: Actor) -> Response:
    form = EmailForm()
    if form.carry_out(services.ask_for_email, by=actor):
        return go_to("account.index", notice=f"{form.command.email} is not confirmed yet. Until then {actor.email} stays your address.")
    return _account_page(actor, status=422, email=form)


@blueprint.post("/email/keep")
@signed_in
def keep_email(actor: Actor) -> Response:
    services.keep_email(by=actor)
    return go_to("account.index", notice=f"{actor.email} stays your address.")


@blueprint.post("/email/confirmation")
@signed_in
def send_confirmation(actor: Actor) -> Response:
    address = services.ask_for_confirmation(by=actor)
    return go_to("account.index", notice=f"A new link to confirm {address} is on its way. Earlier links no longer work.")


@blueprint.route("/confirm/<credential>", methods=["GET", "POST"])
@public
@limiter.limit("120 per hour", methods=["POST"])
def confirm(credential: str) -> Response:
    """A look uses nothing up: programs that read mail open its links too."""
    if request.method != "POST":
        return page("account/confirm.html", found=services.to_confirm(credential), credential=credential)
    address = services.confirm_email(credential, origin=origin())
    return go_to("account.index", notice=f"{address} is confirmed.")


@blueprint.post("/preferences")
@signed_in
def preferences(actor: Actor) -> Response:
    form = PreferencesForm()
    if not form.carry_out(services.choose_preferences, by=actor):
        return _account_page(actor, status=422, preferences=form)
    response = go_to("account.index", notice="Saved.")
    keep_theme(response, form.command.theme)
    return response


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
    return _ended(actor, "That device was signed out.")


@blueprint.post("/sessions/end-others")
@signed_in
def end_other_sessions(actor: Actor) -> Response:
    ended = auth.end_other_sessions(by=actor)
    return _ended(actor, f"{ended} other {'session was' if ended == 1 else 'sessions were'} signed out.")


@blueprint.route("/password", methods=["GET", "POST"])
@signed_in
def password(actor: Actor) -> Response:
    form = PasswordForm()
    if form.carry_out(auth.change_password, by=actor):
        keep_signed_in(form.result)
        return go_to("account.sessions", notice="Your password is changed. You are signed out everywhere else.")
    return page("account/password.html", status=form.status, form=form, password_min_length=settings().password_min_length)


def _account_page(actor: Actor, *, status: int = 200, **refused: Any) -> Response:
    """The page of the account, with the form that was refused in place of a fresh one."""
    user = services.account(by=actor)
    fresh = {
        "profile": lambda: ProfileForm(formdata=None, data=services.profile_of(user)),
        "email": lambda: EmailForm(formdata=None),
        "preferences": lambda: PreferencesForm(formdata=None, data=_preferences_of(actor)),
    }
    forms = {name: refused.get(name) or make() for name, make in fresh.items()}
    shown = {"mail_is_sent": mail.is_configured(), "confirmation": services.confirmation_mail(user)}
    return page("account/index.html", status=status, user=user, **shown, **forms)


def _preferences_of(actor: Actor) -> dict[str, str]:
    return {"theme": actor.theme or current_theme(), "density": actor.density or "comfortable", "time_zone": actor.time_zone or ""}


def _ended(actor: Actor, notice: str) -> Response:
    return inline("account/_sessions.html", "account.sessions", notice=notice, sessions=auth.own_sessions(by=actor))
