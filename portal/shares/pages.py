"""The doors of sharing: an agent is offered, and the other side answers."""

from typing import Any

from flask import Blueprint, Response

from portal import policy
from portal.access import requires
from portal.actor import Actor
from portal.responses import go_to, page
from portal.shares import services
from portal.shares.forms import OfferForm

blueprint = Blueprint("shares", __name__, url_prefix="/agents")


@blueprint.route("/<uuid:agent_id>/offer", methods=["GET", "POST"])
@requires(policy.can_share_agent)
def offer(agent: Any, actor: Actor) -> Response:
    form = OfferForm()
    if form.carry_out(services.offer, agent, nonce=form.nonce.data or "", by=actor):
        whom = form.command.subdomain
        notice = f"{agent.name} is offered to “{whom}”. If there is such an organization, its administrators can accept it for 30 days."
        return go_to("agents.show", agent_id=agent.id, notice=notice)
    return page("shares/offer.html", status=form.status, form=form, agent=agent)


@blueprint.get("/offers")
@requires(policy.shares_agents)
def index(actor: Actor) -> Response:
    return page("shares/index.html", waiting=services.waiting(by=actor), held=services.held(by=actor), rows=services.ROWS)


@blueprint.post("/shares/<uuid:share_id>/accept")
@requires(policy.can_answer_offer)
def accept(share: Any, actor: Actor) -> Response:
    services.accept(share, by=actor)
    return go_to("shares.index", notice=f"{share.agent_name} is shared with your organization; your people can use it.")


@blueprint.post("/shares/<uuid:share_id>/refuse")
@requires(policy.can_answer_offer)
def refuse(share: Any, actor: Actor) -> Response:
    services.refuse(share, by=actor)
    return go_to("shares.index", notice=f"{share.agent_name} was refused.")


@blueprint.post("/shares/<uuid:share_id>/end")
@requires(policy.can_end_share)
def end(share: Any, actor: Actor) -> Response:
    services.end(share, by=actor)
    if share.is_ours:
        whom = share.partner_name or share.partner_subdomain
        ended, withdrawn = f"{whom} has {share.agent_name} no longer.", f"The offer of {share.agent_name} to “{whom}” was taken back."
        return go_to("agents.show", agent_id=share.agent_id, notice=ended if share.state == "accepted" else withdrawn)
    return go_to("shares.index", notice=f"Your organization uses {share.agent_name} no longer.")
