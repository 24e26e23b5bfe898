"""The door of the overview."""

from typing import Any

from flask import Blueprint, Response, url_for

from portal import charts, policy
from portal.access import signed_in
from portal.actor import Actor
from portal.audit.sentences import sentence
from portal.auth.services import sign_in_url
from portal.overview import services
from portal.responses import page
from portal.values import full_name
from portal.words import times

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
@signed_in
def index(actor: Actor) -> Response:
    if not policy.administers_organization(actor):
        return page("overview/index.html", own=own_things(services.of_oneself(by=actor), actor), first_steps=[])
    overview = services.of_organization(actor.tenant_id, by=actor)
    return page("overview/index.html", own=None, first_steps=first_steps(overview, actor.subdomain), **figures(overview))


def figures(overview: services.Overview) -> dict[str, Any]:
    """The overview as its page shows it: each figure with its source and its age."""
    accounts = f"from {overview.people:,} {'account' if overview.people == 1 else 'accounts'}"
    told = times()
    as_of = told(overview.as_of)
    return {
        "as_of": as_of,
        "figures": [
            ("Active users", overview.active_people, accounts),
            ("Not active", overview.people - overview.active_people, f"invited, waiting, deactivated or removed; {accounts}"),
            ("Sessions open now", overview.open_sessions, "from the sessions"),
        ],
        "users_by_role": overview.roles,
        "sign_ins": charts.daily(overview.sign_ins, "sign-ins"),
        "sign_ins_source": "from the audit log, days in UTC",
        "sign_ins_since": overview.audited_since,
        "changes": [(told(entry.at), entry.actor_name, sentence(entry), entry.whom) for entry in overview.changes],
    }


def own_things(own: services.OwnOverview, actor: Actor) -> dict[str, Any]:
    """What a plain user sees: the own account, the own sessions, and who can help."""
    return {
        "role": actor.role,
        "last_sign_in_at": own.last_sign_in_at,
        "sessions": own.sessions,
        "administrators": [
            {"name": full_name(person.first_name, person.last_name, person.username), "email": person.email}
            for person in own.administrators
        ],
    }


def first_steps(overview: services.Overview, subdomain: str) -> list[dict[str, str]]:
    """What to do first; a step is gone once the facts say that it is done."""
    steps = []
    if not overview.has_signed_in:
        address = sign_in_url(subdomain)
        text = f"You and your people sign in at {address}. This step disappears once you have signed in there yourself."
        steps.append({"title": "Keep the address of your sign-in page", "text": text, "url": address})
    if not overview.has_description:
        text = "What your agents should know: what you do, for whom, in which tone."
        steps.append({"title": "Write instructions for your agents", "text": text, "url": url_for("organizations.settings")})
    return steps
