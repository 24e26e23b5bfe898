"""The doors of agents: the list, an agent, the editor."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from portal import policy
from portal.access import requires, signed_in
from portal.actor import Actor
from portal.agents import clones, comparing, configuration, drafts, finding, services, versions
from portal.agents.commands import FindAgents, as_written
from portal.agents.forms import AgentForm, CloneForm, EditAgentForm, MakeAgentForm
from portal.agents.models import Agent
from portal.agents.rows import counted_in_words, to_draw
from portal.audit import services as audit
from portal.audit.sentences import in_words, sentence
from portal.forms import asked_before, asked_for
from portal.responses import go_to, inline, page, page_or_fragment
from portal.shares import services as shares
from portal.values import read_configuration
from portal.words import times

blueprint = Blueprint("agents", __name__, url_prefix="/agents")
OWNERS = {"free": "Free", "own": "Yours", "shared": "Shared with you"}
STATES = {"on": "On", "off": "Off", "unpublished": "Not published", "withdrawn": "Withdrawn"}
HISTORY, VERSIONS = 50, 3
NOT_KEPT = {"csrf_token", "nonce", "discard", "show", "publish"}  # of a form, in a draft


@blueprint.get("")
@signed_in
def index(actor: Actor) -> Response:
    asked = asked_for(FindAgents)
    administers = bool(policy.administers_organization(actor))
    found = finding.find(actor.tenant_id, asked, sees_off=administers, sees_hidden_free=bool(policy.changes_free_agents(actor)))
    return page_or_fragment(
        "agents/index.html",
        "agents/_table.html",
        asked=asked,
        found=found,
        owners=OWNERS,
        states=STATES if administers else {},
        to_draw=to_draw(found.rows, actor, times(), request.query_string.decode("ascii", "ignore")),
        offers=partial(shares.number_waiting, by=actor),  # asked for by the page only
    )


@blueprint.route("/new", methods=["GET", "POST"])
@requires(policy.makes_agents)
def new(actor: Actor) -> Response:
    form = MakeAgentForm()
    kept = _show_draft(form, None, actor)
    if not _turned(form) and form.carry_out(services.make, nonce=form.nonce.data or "", by=actor):
        return go_to("agents.show", agent_id=form.result.id, notice=f"{form.result.name} was made{_and_used(form.result)}.")
    return _editor(form, None, kept)


@blueprint.post("/check")
@requires(policy.makes_agents)
def check() -> Response:
    """What is wrong with a configuration that is being typed, and where."""
    try:
        as_written(request.form.get("configuration", ""))
    except ValueError as fault:
        return page("agents/_checked.html", fault=str(fault))
    return page("agents/_checked.html", fault=None)


@blueprint.post("/new/draft")
@requires(policy.makes_agents)
def keep_new_draft(actor: Actor) -> Response:
    return _keep_draft(None, actor)


@blueprint.get("/<uuid:agent_id>")
@signed_in
def show(agent: Any, actor: Actor) -> Response:
    administers = bool(policy.administers_organization(actor))
    entries = audit.about(actor.tenant_id, agent.id, HISTORY, also=shares.IDS_OF_AGENT) if administers else []
    return page(
        "agents/show.html",
        agent=agent,
        told=_told(agent.configuration),
        conversations=counted_in_words(agent.conversations),
        origin=clones.origin(agent, by=actor) if policy.can_edit_agent(actor, agent) else None,
        clone_form=CloneForm(formdata=None) if policy.can_clone_agent(actor, agent) else None,
        saved=versions.listed(agent, by=actor, limit=VERSIONS)[:VERSIONS] if policy.can_edit_agent(actor, agent) else [],
        shares=shares.of_agent(agent, by=actor),
        history=[{"entry": entry, "sentence": sentence(entry), "changes": in_words(entry.changes)} for entry in entries],
    )


@blueprint.route("/<uuid:agent_id>/edit", methods=["GET", "POST"])
@requires(policy.can_edit_agent)
def edit(agent: Any, actor: Actor) -> Response:
    form = EditAgentForm(data=_said(agent, actor) if request.method == "GET" else None)
    kept = _show_draft(form, agent, actor)
    if not _turned(form) and form.carry_out(services.edit, agent, by=actor, now=lambda: _said(services.agent(actor, agent.id), actor)):
        return go_to("agents.show", agent_id=agent.id, notice=_saved(form.result, agent))
    return _editor(form, agent, kept)


@blueprint.post("/<uuid:agent_id>/draft")
@requires(policy.can_edit_agent)
def keep_draft(agent: Any, actor: Actor) -> Response:
    return _keep_draft(agent, actor)


@blueprint.post("/<uuid:agent_id>/clone")
@requires(policy.can_clone_agent)
def clone(agent: Any, actor: Actor) -> Response:
    made = clones.clone(agent, nonce=CloneForm().nonce.data or "", by=actor)
    return go_to("agents.edit", agent_id=made.id, notice=f"This is your own copy of {agent.name}. Change what you need, then publish it.")


@blueprint.post("/<uuid:agent_id>/switch")
@requires(policy.can_switch_agent)
def switch(agent: Any, actor: Actor) -> Response:
    on = request.form.get("on") == "1"
    services.switch(agent, on, by=actor)
    notice = f"{agent.name} is {'on' if on else 'off'}."
    if request.form.get("back") == "agent":
        return go_to("agents.show", agent_id=agent.id, notice=notice)
    back = request.form.get("back", "")
    [(kind, cells)] = to_draw([finding.one(actor.tenant_id, agent.id)], actor, times(), back)
    return inline("agents/_row.html", "agents.index", asked_before(FindAgents, back), notice=notice, kind=kind, cells=cells)


@blueprint.route("/<uuid:agent_id>/withdraw", methods=["GET", "POST"])
@requires(policy.can_edit_agent)
def withdraw(agent: Any, actor: Actor) -> Response:
    if request.method == "GET":
        used = finding.used_in(actor.tenant_id, agent.id)
        return page("agents/withdraw.html", agent=agent, conversations=counted_in_words(agent.conversations), used=used)
    services.withdraw(agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice=f"{agent.name} was withdrawn; nobody uses it any more.")


@blueprint.post("/<uuid:agent_id>/bring-back")
@requires(policy.can_edit_agent)
def bring_back(agent: Any, actor: Actor) -> Response:
    services.bring_back(agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice=f"{agent.name} can be used again.")


@blueprint.route("/<uuid:agent_id>/remove", methods=["GET", "POST"])
@requires(policy.can_remove_agent)
def remove(agent: Any, actor: Actor) -> Response:
    if request.method == "GET":
        return page("agents/remove.html", agent=agent)
    services.remove(agent, by=actor)
    return go_to("agents.index", notice=f"{agent.name} was removed.")


def _said(agent: Any, actor: Actor) -> dict[str, Any]:
    """What was saved last, as the form shows it."""
    said = versions.latest(agent, by=actor)
    return {**said._asdict(), "capabilities": "\n".join(said.capabilities), "version": agent.version}


def _turned(form: AgentForm) -> bool:
    """Whether only the other view of the configuration was asked for."""
    view = request.form.get("show") if form.is_submitted() else None
    if view:
        form.turn_to(view)
    return bool(view)


def _editor(form: Any, agent: Any, kept: Any) -> Response:
    if form.conflict or not (form.is_submitted() or kept):
        form.draw()
    clash = comparing.compare(_typed(form.newer), _typed(form)) if "configuration" in getattr(form, "clashes", []) else None
    status = 200 if "show" in request.form and not form.errors else form.status
    return page("agents/edit.html", status=status, form=form, agent=agent, kept=kept, clash=clash)


def _typed(form: Any) -> versions.Content:
    """What stands in the fields, to be compared."""
    name, agent_type, description, capabilities, document = (str(form[field].data or "") for field in versions.Content._fields)
    return versions.Content(name, agent_type, description, capabilities.splitlines(), document)


def _show_draft(form: AgentForm, agent: Any, actor: Actor) -> Any:
    """Fill a form that is opened with what the actor was typing; the draft, None where there is none."""
    kept = None if form.is_submitted() else drafts.draft(agent.id if agent else None, by=actor)
    if kept:
        form.fill(kept.typed)
    return kept


def _keep_draft(agent: Any, actor: Actor) -> Response:
    """Keep what is typed, or throw it away, as the button says."""
    where: dict[str, Any] = {"agent_id": agent.id} if agent else {}
    back_to = "agents.edit" if agent else "agents.new"
    if request.form.get("discard"):
        drafts.forget(agent.id if agent else None, by=actor)
        return go_to(back_to, notice="The draft was discarded.", **where)
    typed = {name: text for name, text in request.form.items() if name not in NOT_KEPT}
    kept_at = drafts.keep(typed, agent, nonce=request.form.get("nonce", ""), by=actor)
    return inline("agents/_draft.html", back_to, where, notice="Kept as a draft; only you see it.", kept_at=kept_at)


def _saved(saved: Agent | versions.SavedAgent, before: Any) -> str:
    if saved.version == before.version:
        now = f"; version {saved.version:,} is in use from now on" if saved.published_version != before.published_version else ""
        return f"Nothing was changed{now}."
    return f"Version {saved.version:,} was saved{_and_used(saved)}."


def _and_used(saved: Agent | versions.SavedAgent) -> str:
    if saved.published_version == saved.version:
        return " and is in use" if saved.is_enabled else " and is published; nobody can use it until it is switched on"
    return f"; version {saved.published_version:,} stays in use" if saved.published_version else "; nobody uses it until it is published"


def _told(document: str) -> list[tuple[str, str]]:
    """What a configuration says, in the words of its form, and its other texts; nothing of one that could not be saved today."""
    try:
        read = read_configuration(document)
    except ValueError:
        return []
    shown, known = configuration.shown(document), configuration.fields()
    others = [(key.replace("_", " ").capitalize(), text) for key, text in read.items() if type(text) is str and key not in shown]
    return [(label, text) for label, text in [*((one.label, shown[one.name]) for one in known), *others] if text]
