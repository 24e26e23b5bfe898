"""Rows of the list of agents as their template shows them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from portal import policy
from portal.actor import Actor
from portal.agents.finding import COUNTED
from portal.signing import csrf_token

SHOWN = 120  # characters of what an agent is for


class Kind(NamedTuple):
    """What decides how a row looks; `refusal` says why the reader may not switch the agent, is empty where she may, None for whoever
    switches none.
    """

    whose: str
    state: str
    has_description: bool
    refusal: str | None


class Cells(NamedTuple):
    """What stands in a row; `back` is the query of the page that the switch leads back to."""

    id: str
    name: str
    description: str
    conversations: str
    last_used: str | Markup
    back: str
    csrf_token: str


def to_draw(agents: Iterable[Any], actor: Actor, tell: Callable[[datetime], Markup], back: str) -> list[tuple[Kind, Cells]]:
    """Each agent (a row of finding) as (kind, cells) for `rows_of`, as `actor` reads them; `tell` is how the reader is told times."""
    administers, token = policy.administers_organization(actor), csrf_token()
    told = []
    for agent in agents:
        may = policy.can_switch_agent(actor, agent)
        refusal = (may.words if isinstance(may, policy.Denied) else "") if administers else None
        whose = "Free" if agent.is_free_agent else "Shared with you" if agent.is_shared else "Yours"
        cells = Cells(
            str(agent.id),
            agent.name,
            _shortened(agent.description or ""),
            counted_in_words(agent.conversations),
            tell(agent.last_used_at) if agent.last_used_at else "never",
            back,
            token,
        )
        told.append((Kind(whose, agent.state, bool(agent.description), refusal), cells))
    return told


def counted_in_words(number: int) -> str:
    """What finding has counted, with thousands separated; from where it does not go on counting, only that there are more."""
    return f"more than {COUNTED:,}" if number > COUNTED else f"{number:,}"


def _shortened(text: str) -> str:
    """The beginning up to a word's end, where there is more."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rsplit(' ', 1)[0]}…"
