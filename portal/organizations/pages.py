"""The doors of organizations: registering one, and the small helps while typing."""

from typing import Any

from flask import Blueprint, Response, request

from portal import policy
from portal.access import keep_signed_in, origin, public, requires
from portal.actor import Actor
from portal.audit import services as audit
from portal.audit.sentences import sentence
from portal.extensions import limiter, settings
from portal.organizations import services
from portal.organizations.commands import HINTS
from portal.organizations.forms import RegistrationForm, SettingsForm
from portal.responses import address, go_to, page
from portal.values import likely_country, suggest_subdomain
from portal.values import password_strength as strength_of
from portal.words import times

blueprint = Blueprint("organizations", __name__)


def registrations() -> str:
    return settings().registration_limit


@blueprint.route("/register", methods=["GET", "POST"])
@public
@limiter.limit(registrations, methods=["POST"])
def register() -> Response:
    if settings().registration == "closed":
        status = 403 if request.method == "POST" else 200
        return page("organizations/registration_closed.html", status=status, contact=settings().registration_contact)
    form = RegistrationForm()
    if not form.is_submitted():
        form.address.country.data = likely_country(request.headers.get("Accept-Language")) or ""
    if not form.is_submitted() or "change_country" in request.form:
        return page("organizations/register.html", **_shown(form))
    if not form.carry_out(services.register, origin=origin(), nonce=form.nonce.data or ""):
        _say_if_taken(form)
        return page("organizations/register.html", status=422, **_shown(form))
    keep_signed_in(form.result.credential)
    return go_to("overview.index", notice=f"{form.command.name} is registered. You are signed in as its administrator.")


@blueprint.post("/register/address")
@public
def register_address() -> Response:
    """The fields of the address that the chosen country has, with what was typed."""
    services.refuse_when_closed()
    return page("organizations/_address_fields.html", **_shown(RegistrationForm()))


@blueprint.get("/register/subdomain")
@public
@limiter.limit("120 per minute")
def check_subdomain() -> Response:
    """Whether a subdomain is free, taken or refused; without one, a suggestion made from the name."""
    services.refuse_when_closed()
    if "subdomain" in request.args:
        typed = request.args["subdomain"][:200]
        state, message = services.subdomain_state(typed)
        return page("organizations/_subdomain_status.html", state=state, message=message, suggestion=None, subdomain=typed)
    name = request.args.get("name", "")[:200]
    suggestion = services.first_free(suggest_subdomain(name))
    message = "" if suggestion or not name else "No short name could be made of this name. Type one."
    state = "free" if suggestion else ""
    return page("organizations/_subdomain_status.html", state=state, message=message, suggestion=suggestion, subdomain=suggestion)


@blueprint.post("/register/password-strength")
@public
@limiter.limit("120 per minute")
def password_strength() -> Response:
    """How strong the password is that is being typed, in words; it is looked at and forgotten."""
    services.refuse_when_closed()
    hints = [request.form.get(name, "")[:200] for name in HINTS]
    strength = strength_of(request.form.get("admin_password", ""), hints, settings().password_min_length)
    return page("organizations/_strength.html", strength=strength)


@blueprint.route("/settings", methods=["GET", "POST"], endpoint="settings")
@requires(policy.administers_organization)
def edit_settings(tenant: Any, actor: Actor) -> Response:
    form = SettingsForm(data=services.said_of(tenant))
    if not form.is_submitted() or "change_country" in request.form:
        return _settings_page(form, tenant)
    if form.carry_out(services.edit, by=actor, now=lambda: services.said_of(services.tenant(tenant.id))):
        return go_to("organizations.settings", notice="Saved.")
    return _settings_page(form, tenant, status=form.status)


@blueprint.post("/settings/address")
@requires(policy.administers_organization)
def settings_address() -> Response:
    """The fields of the address that the chosen country has, with what was typed."""
    form = SettingsForm()
    return page("organizations/_address_fields.html", form=form, address_fields=form.address.form.show_parts())


def _settings_page(form: SettingsForm, tenant: Any, *, status: int = 200) -> Response:
    return page(
        "organizations/settings.html",
        status=status,
        form=form,
        address_fields=form.address.form.show_parts(),
        address_url=address("organizations.settings_address"),
        subdomain=tenant.subdomain,
        changes=_what_changed(form, tenant),
    )


def _what_changed(form: SettingsForm, tenant: Any) -> list[tuple[Any, str | None, str]]:
    """When, who and what, of the latest changes: fields by the names that they bear on this page."""
    labels, told = {field.short_name: field.label.text.lower() for field in form}, times()
    return [(told(entry.at), entry.actor_name, _in_words(entry, labels)) for entry in audit.entries(tenant.changes)]


def _in_words(entry: Any, labels: dict[str, str]) -> str:
    if entry.action != "organization_changed":
        return sentence(entry)
    return "changed " + ", ".join(labels.get(name, name) for name in entry.fields)


def _say_if_taken(form: RegistrationForm) -> None:
    """Other faults kept the constraint from being asked: all faults are to be named at once."""
    state, message = services.subdomain_state(form.subdomain.data or "")
    if state == "taken" and not form.subdomain.errors:
        form.blame(["subdomain"], message)


def _shown(form: RegistrationForm) -> dict[str, Any]:
    public_host = f".{settings().hostname}" if settings().serve_subdomains else ""
    form.subdomain.label.text = "Address of your portal" if public_host else "Short name"
    return {
        "form": form,
        "address_url": address("organizations.register_address"),
        "address_fields": form.address.form.show_parts(),
        "public_host": public_host,
        "password_min_length": settings().password_min_length,
    }
