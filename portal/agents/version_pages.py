"""The doors of an agent's versions: the list, comparing two, putting one into use, going back to one."""

from collections.abc import Callable
from typing import Any

from flask import Response

from portal import policy
from portal.access import requires
from portal.actor import Actor
from portal.agents import clones, comparing, versions
from portal.agents.commands import CompareOriginal, CompareVersions, ListVersions, NameVersion
from portal.agents.forms import VersionForm
from portal.agents.pages import blueprint
from portal.errors import NotFound
from portal.forms import asked_for, sent
from portal.responses import go_to, page


@blueprint.get("/<uuid:agent_id>/versions")
@requires(policy.can_edit_agent)
def history(agent: Any, actor: Actor) -> Response:
    return _list(agent, actor, VersionForm(formdata=None))


@blueprint.get("/<uuid:agent_id>/compare")
@requires(policy.can_edit_agent)
def compare(agent: Any, actor: Actor) -> Response:
    asked = asked_for(CompareVersions)
    pair = asked.old or versions.said_version(agent), asked.new or agent.version
    old, new = (versions.version(agent, number, by=actor) for number in pair)
    sides = f"Version {old.number:,}", f"Version {new.number:,}"
    return page("agents/compare.html", agent=agent, asked=asked, old=old, new=new, sides=sides, found=comparing.compare(old, new))


@blueprint.post("/<uuid:agent_id>/publish")
@requires(policy.can_publish_agent)
def publish(agent: Any, actor: Actor) -> Response:
    return _act(versions.publish, agent, actor, "Version {number:,} is in use.")


@blueprint.post("/<uuid:agent_id>/restore")
@requires(policy.can_edit_agent)
def restore(agent: Any, actor: Actor) -> Response:
    return _act(
        versions.restore,
        agent,
        actor,
        "What version {number:,} said is saved again, as version {version:,}. Publish it to use it.",
    )


@blueprint.post("/<uuid:agent_id>/unpublish")
@requires(policy.can_edit_agent)
def unpublish(agent: Any, actor: Actor) -> Response:
    versions.unpublish(agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice=f"Nobody uses {agent.name} until a version is published again.")


@blueprint.get("/<uuid:agent_id>/original")
@requires(policy.can_edit_agent)
def original(agent: Any, actor: Actor) -> Response:
    """What the original of a clone has changed since, or how the clone differs from it."""
    known = clones.origin(agent, by=actor)
    if known is None or known.agent is None:
        raise NotFound("This agent has no original that can be seen.")
    asked = asked_for(CompareOriginal)
    then = asked.against == "then"
    old, side = (known.then, f"The original then, version {known.number:,}") if then else (versions.latest(agent, by=actor), "Yours")
    found = comparing.compare(old, known.agent)
    return page(
        "agents/original.html",
        agent=agent,
        asked=asked,
        origin=known,
        sides=(side, f"The original now, version {known.now:,}"),
        found=found,
    )


@blueprint.post("/<uuid:agent_id>/follow")
@requires(policy.can_edit_agent)
def follow(agent: Any, actor: Actor) -> Response:
    clones.follow(sent(NameVersion), agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice="A new version says what the original says. Publish it to use it.")


@blueprint.post("/<uuid:agent_id>/stay")
@requires(policy.can_edit_agent)
def stay(agent: Any, actor: Actor) -> Response:
    clones.stay(sent(NameVersion), agent, by=actor)
    return go_to("agents.show", agent_id=agent.id, notice="Your agent stays as it is.")


def _act(act: Callable[..., Any], agent: Any, actor: Actor, notice: str) -> Response:
    form = VersionForm()
    if form.carry_out(act, agent, by=actor):
        said = notice.format(number=form.command.number, version=form.result.version)
        return go_to("agents.history", agent_id=agent.id, notice=said)
    return _list(agent, actor, form)


def _list(agent: Any, actor: Actor, form: VersionForm) -> Response:
    asked = asked_for(ListVersions)
    found = versions.listed(agent, by=actor, before=asked.before)
    return page(
        "agents/versions.html",
        status=form.status,
        agent=agent,
        found=found[: versions.ROWS],
        further=len(found) > versions.ROWS,
        form=form,
        asked=asked,
    )
