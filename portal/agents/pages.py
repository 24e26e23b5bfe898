"""The doors of agents."""

from typing import Any

from flask import Blueprint, Response, request

from portal import policy
from portal.access import requires, signed_in
from portal.actor import Actor
from portal.agents import finding, services
from portal.agents.commands import FindAgents, as_written
from portal.agents.forms import EditAgentForm, MakeAgentForm
from portal.audit import services as audit
from portal.audit.sentences import in_words, sentence
from portal.forms import asked_before, asked_for
from portal.responses import go_to, inline, page, page_or_fragment
from portal.values import read_configuration

blueprint = Blueprint("agents", __name__, url_prefix="/agents")
OWNERS = {"free": "Free", "own": "Own"}
STATES = {"on": "On", "off": "Off", "withdrawn": "Withdrawn"}
HISTORY = 50


@blueprint.get("")
@signed_in
def index(actor: Actor) -> Response:
    asked = asked_for(FindAgents)
    administers = bool(policy.administers_organization(actor))
    found = finding.find(actor.tenant_id, asked, sees_off=administers, sees_withdrawn_free=bool(policy.changes_free_agents(actor)))
    return page_or_fragment(
        "agents/index.html",
        "agents/_table.html",
        asked=asked,
        found=found,
        owners=OWNERS,
        states=STATES if administers else {},
        back=request.query_string.decode("ascii", "ignore"),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@requires(policy.makes_agents)
def new(actor: Actor) -> Response:
    form = MakeAgentForm()
    if form.carry_out(services.make, nonce=form.nonce.data or "", by=actor):
        return go_to("agents.show", agent_id=form.result.id, notice=f"{form.result.name} was made.")
    return page("agents/edit.html", status=form.status, form=form, agent=None)


@blueprint.post("/check")
@requires(policy.makes_agents)
def check() -> Response:
    """What is wrong with a configuration that is being typed, and where."""
    try:
        as_written(request.form.get("configuration", ""))
    except ValueError as fault:
        return page("agents/_checked.html", fault=str(fault))
    return page("agents/_checked.html", fault=None)


@blueprint.get("/<uuid:agent_id>")
@signed_in
def show(agent: Any, actor: Actor) -> Response:
    return _agent_page(agent, actor)


@blueprint.route("/<uuid:agent_id>/edit", methods=["GET", "POST"])
@requires(policy.can_edit_agent)
def edit(agent: Any, actor: Actor) -> Response:
    form = EditAgentForm(data=services.said_of(agent))
    if form.carry_out(services.edit, agent, by=actor, now=lambda: services.said_of(services.agent(actor, agent.id))):
        return go_to("agents.show", agent_id=agent.id, notice="Saved.")
    return page("agents/edit.html", status=form.status, form=form, agent=agent)


@blueprint.post("/<uuid:agent_id>/switch")
@requires(policy.can_switch_agent)
def switch(agent: Any, actor: Actor) -> Response:
    on = request.form.get("on") == "1"
    services.switch(agent, on, by=actor)
    notice = f"{agent.name} is {'on' if on else 'off'}."
    if request.form.get("back") == "agent":
        return go_to("agents.show", agent_id=agent.id, notice=notice)
    back, row = request.form.get("back", ""), finding.one(actor.tenant_id, agent.id)
    return inline("agents/_row.html", "agents.index", asked_before(FindAgents, back), notice=notice, agent=row, back=back)


@blueprint.post("/<uuid:agent_id>/withdraw")
@requires(policy.can_edit_agent)
def withdraw(agent: Any, actor: Actor) -> Response:
    services.withdraw(agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice=f"{agent.name} was withdrawn; nobody uses it any more.")


@blueprint.post("/<uuid:agent_id>/bring-back")
@requires(policy.can_edit_agent)
def bring_back(agent: Any, actor: Actor) -> Response:
    services.bring_back(agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice=f"{agent.name} can be used again.")


def _agent_page(agent: Any, actor: Actor) -> Response:
    administers = bool(policy.administers_organization(actor))
    entries = audit.about(actor.tenant_id, agent.id, HISTORY) if administers else []
    return page(
        "agents/show.html",
        agent=agent,
        texts=_texts(agent.configuration),
        history=[{"entry": entry, "sentence": sentence(entry), "changes": in_words(entry.changes)} for entry in entries],
    )


def _texts(configuration: str) -> list[tuple[str, str]]:
    """The texts at the top of a configuration; none of one that could not be saved today."""
    try:
        return [(key, text) for key, text in read_configuration(configuration).items() if type(text) is str and text]
    except ValueError:
        return []
