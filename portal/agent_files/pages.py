"""The doors of files of agents: exporting agents, and importing them after a look at what is different."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response

from portal import policy
from portal.access import go_on, requires, signed_in, takes_files
from portal.actor import Actor
from portal.agent_files import services
from portal.agent_files.commands import LARGEST
from portal.agent_files.forms import BringInForm, FileForm
from portal.agents import comparing, versions
from portal.extensions import release, rollback
from portal.responses import download, go_to, page

blueprint = Blueprint("agent_files", __name__, url_prefix="/agents")
AROUND = 64 * 1024  # bytes that a form needs around its file
COMPARED = 25  # agents whose differences are drawn


@blueprint.get("/export.json")
@requires(policy.makes_agents)
def export_all(actor: Actor) -> Response:
    return _file(f"agents-{actor.subdomain}", _all_own(actor))


@blueprint.get("/<uuid:agent_id>/export.json")
@signed_in
def export(agent: Any, actor: Actor) -> Response:
    """An agent as it was saved last; one that cannot be edited, as it is in use."""
    said = versions.latest(agent, by=actor) if policy.can_edit_agent(actor, agent) else agent
    return _file(f"agent-{said.agent_type.lower().replace('_', '-')}", iter([said]))


@blueprint.route("/import", methods=["GET", "POST"])
@requires(policy.makes_agents)
@takes_files(LARGEST + AROUND, policy.makes_agents)
def look(actor: Actor) -> Response:
    form = FileForm()
    if form.carry_out(services.look_through, by=actor):
        looked = form.result
        return _looked(looked, BringInForm(formdata=None), 200)
    return page("agent_files/new.html", status=form.status, form=form)


@blueprint.post("/import/bring-in")
@requires(policy.makes_agents)
@takes_files(2 * LARGEST + AROUND, policy.makes_agents)
def bring_in(actor: Actor) -> Response:
    form = BringInForm()
    if form.carry_out(services.bring_in, nonce=form.nonce.data or "", by=actor):
        return go_to("agents.index", notice=_brought_in(**form.result, publish=form.command.publish))
    rollback()  # what was begun is not compared with
    return _looked(services.look_again(form.document.data or "", by=actor), form, form.status)


def _looked(looked: services.Looked, form: BringInForm, status: int) -> Response:
    form.seen.data = looked.seen
    different = [fate for fate in looked.fates if fate.word == "different"]
    compared = [(fate, comparing.compare(fate.now, fate.content)) for fate in different[:COMPARED]]
    return page("agent_files/look.html", status=status, form=form, looked=looked, compared=compared, different=len(different))


def _brought_in(made: int, changed: int, publish: bool) -> str:
    parts = [(made, "made"), (changed, "changed")]
    told = " and ".join(f"{_agents(count)} {done}" for count, done in parts if count)
    return f"{told}; {'all of it is in use' if publish else 'what is new is used once it is published'}."


def _agents(count: int) -> str:
    return "1 agent was" if count == 1 else f"{count:,} agents were"


def _all_own(actor: Actor) -> Iterator[Any]:
    """Read in batches that are a bound transaction each, while the reader may take them along."""
    after = None
    while True:
        go_on(actor, policy.makes_agents)
        batch = services.some_own(after, by=actor)
        release()
        yield from batch
        if len(batch) < services.BATCH:
            return
        after = batch[-1].id


def _file(name: str, found: Iterator[Any]) -> Response:
    return download(f"{name}-as-of-{datetime.now(UTC):%Y-%m-%dT%H%MZ}.json", services.file_of(found), "application/json")
