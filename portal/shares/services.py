"""What organizations do to share an agent: one offers it, the other accepts or refuses, and either ends it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.database import tenancy
from portal.database.reading import Reading
from portal.errors import Conflict, Invalid
from portal.extensions import db, transaction
from portal.jobs import services as jobs
from portal.jobs.services import Work
from portal.shares.commands import OfferAgent
from portal.shares.models import AgentShare
from portal.users.services import demand_allowed, demand_office, lock_organization

LIFE = timedelta(days=30)  # of an offer that nobody answers
MOST_OPEN, MOST_A_DAY = 50, 100  # offers of one organization: each is an entry in somebody else's audit log
LONGEST_NAME = 200
ROWS = 100  # of each list of a partner
OPEN = ("offered", "accepted")
ACTS = ("agent_offered", "agent_share_accepted", "agent_share_refused", "agent_share_ended")
OVER = "Somebody was faster, or the time of the offer is over: it was answered or ended. Look at the list as it is now."

COLUMNS = """
    s.id, s.tenant_id, s.agent_id, coalesce(a.name, s.agent_name) AS agent_name, s.owner_name, s.owner_subdomain,
    s.partner_subdomain, s.partner_name,
    CASE WHEN s.state = 'offered' AND s.expires_at <= now() THEN 'expired' ELSE s.state END AS state,
    s.offered_at, s.expires_at, s.decided_at, s.tenant_id = %(tenant)s AS is_ours,
    coalesce(a.is_active AND a.published_version IS NOT NULL, false) AS is_in_use"""
SOURCE = "agent_shares s LEFT JOIN agents a ON a.owner_tenant_id = s.tenant_id AND a.id = s.agent_id"
IS_HELD = "s.partner = %(tenant)s AND s.state = 'accepted'"
WAITS = "s.state = 'offered' AND s.partner_subdomain = %(subdomain)s AND s.tenant_id <> %(tenant)s AND s.expires_at > now()"
ONE = Reading(f"""
    SELECT {COLUMNS} FROM {SOURCE} WHERE s.id = %(share)s AND (s.tenant_id = %(tenant)s OR s.partner = %(tenant)s OR {WAITS})""")
OF_AGENT = Reading(f"""
    SELECT {COLUMNS} FROM {SOURCE}
    WHERE s.agent_id = %(agent)s AND (s.tenant_id = %(tenant)s AND s.state IN ('offered', 'accepted') OR {IS_HELD})
    ORDER BY s.offered_at, s.id""")
WAITING = Reading(f"SELECT {COLUMNS} FROM {SOURCE} WHERE {WAITS} ORDER BY s.offered_at, s.id LIMIT {ROWS + 1}")
HELD = Reading(f"SELECT {COLUMNS} FROM {SOURCE} WHERE {IS_HELD} ORDER BY lower(s.agent_name), s.id LIMIT {ROWS + 1}")
NUMBER_WAITING = Reading(f"SELECT count(*) AS number FROM (SELECT FROM agent_shares s WHERE {WAITS} LIMIT {ROWS + 1}) AS counted")
# The entries about an agent's shares stand in its history: `also` of audit.about.
IDS_OF_AGENT = """
    SELECT s.id FROM agent_shares s WHERE s.agent_id = %(object)s AND (s.tenant_id = %(tenant)s OR s.partner = %(tenant)s)"""


def share(actor: Actor, share_id: UUID) -> Any:
    """A share that the actor's organization has offered, or that is offered to it or was answered by it; None for any other.

    Rows have id, tenant_id (the owner's), agent_id, agent_name, owner_name, owner_subdomain, partner_subdomain, partner_name (None until
    it is answered), state (of the table, or "expired"), offered_at, expires_at, decided_at, is_ours, is_in_use (whether the agent is, as
    far as we see).
    """
    return ONE.one(share=share_id, tenant=actor.tenant_id, subdomain=actor.subdomain)


def of_agent(agent: Any, *, by: Actor) -> list[Any]:
    """The open shares of an agent, for administrators of its owner; for a partner's its own. No statement where there are none."""
    if not (agent.is_offered or agent.is_shared) or not policy.shares_agents(by):
        return []
    return OF_AGENT(agent=agent.id, tenant=by.tenant_id)


def waiting(*, by: Actor) -> list[Any]:
    """What is offered to the actor's organization and not answered yet, the oldest first; of ROWS, one more for further ones."""
    return WAITING(tenant=by.tenant_id, subdomain=by.subdomain)


def number_waiting(*, by: Actor) -> int:
    """How many offers wait for an answer, counted up to one more than ROWS."""
    return int(NUMBER_WAITING.one(tenant=by.tenant_id, subdomain=by.subdomain).number)


def held(*, by: Actor) -> list[Any]:
    """What other organizations share with the actor's, by name; of ROWS, one more for further ones."""
    return HELD(tenant=by.tenant_id)


def offer(command: OfferAgent, agent: Any, *, nonce: str, by: Actor) -> AgentShare:
    """Offer an agent to whoever has this subdomain; nobody is looked up here, so that the answer tells nothing.

    Raises Invalid(subdomain=…) for the own one and one that has it or an offer already, Invalid where too many are open, Conflict for a
    form that was sent before.
    """
    demand_allowed(policy.can_share_agent(by, agent))
    if command.subdomain == by.subdomain:
        raise Invalid(subdomain="This is your own organization, which has the agent already. Name another one.")
    lock_organization(by.tenant_id)  # whoever offers at the same moment waits here
    demand_office(by, hold=False)
    _make_room(command.subdomain, agent, by)
    made = AgentShare(
        id=uuid7(),
        tenant_id=by.tenant_id,
        agent_id=agent.id,
        agent_name=agent.name,
        owner_name=by.organization_name,
        owner_subdomain=by.subdomain,
        partner_subdomain=command.subdomain,
        offered_by=by.id,
        expires_at=datetime.now(UTC) + LIFE,
    )
    auth.only_once(nonce, "offer_agent", tenant_id=by.tenant_id, made=made.id)
    db.session.add(made)
    db.session.flush()
    _note("agent_offered", made, by)
    return made


def accept(share: Any, *, by: Actor) -> None:
    """Take an offer, for the people of the actor's organization. Raises Invalid with the rule, Conflict where it is no offer any more."""
    _note("agent_share_accepted", _answered(share, "accepted", by), by)


def refuse(share: Any, *, by: Actor) -> None:
    """Decline an offer. Raises as `accept`."""
    _note("agent_share_refused", _answered(share, "refused", by), by)


def end(share: Any, *, by: Actor) -> None:
    """Take an offer back, or end what is shared, from either side and at once. Raises Invalid with the rule, Conflict where it is over."""
    demand_allowed(policy.can_end_share(by, share))
    locked = _locked(share, by)
    if locked is None or locked.state not in OPEN:
        raise Conflict(OVER)
    locked.state, locked.ended_at = "ended", datetime.now(UTC)
    _note("agent_share_ended", locked, by)


@jobs.kind("shares.tell", title="Telling a partner", question=policy.everybody, resumable=True, owed=True)
def tell(work: Work) -> dict[str, Any]:
    """Write what one side did into the audit log of the other one, once; it names the organization, and nobody of it.

    Of a subdomain that nobody has, nobody is told, and of what is no act of sharing nothing: no other entry is written into the log of an
    organization by another one. The entry is a transaction of its own, bound to the other tenant; a second attempt finds it there.
    """
    said = work.arguments
    if said["action"] not in ACTS:
        return {}
    tenant_id = UUID(said["tenant"]) if "tenant" in said else auth.organization_id(said["subdomain"])
    if tenant_id is None:
        return {}
    with tenancy.bound(tenant_id), transaction():
        audit.record_once(
            said["action"],
            tenant_id=tenant_id,
            actor_name=f"The organization {work.by.organization_name}",  # so that no name of one's own choice passes for a colleague's
            object_type="share",
            object_id=UUID(said["share"]),
            changes={"agent": [None, said["agent"][:LONGEST_NAME]]},
        )
    return {}


def _make_room(subdomain: str, agent: Any, by: Actor) -> None:
    """Raises Invalid where there is none for another offer; what has expired gives way."""
    now = datetime.now(UTC)
    is_open = or_(AgentShare.state == "accepted", (AgentShare.state == "offered") & (AgentShare.expires_at > now))
    waits = (AgentShare.tenant_id == by.tenant_id, AgentShare.state == "offered", AgentShare.expires_at > now)
    if db.session.execute(select(func.count()).where(*waits)).scalar_one() >= MOST_OPEN:
        raise Invalid(f"{MOST_OPEN} offers of your organization wait for an answer. End one of them first.")
    if auth.made_within_a_day("offer_agent", tenant_id=by.tenant_id) >= MOST_A_DAY:  # also those that went with their agent
        raise Invalid(f"Your organization has made {MOST_A_DAY} offers within a day. Make this one tomorrow.")
    same = (AgentShare.tenant_id == by.tenant_id, AgentShare.agent_id == agent.id, AgentShare.partner_subdomain == subdomain)
    found = select(AgentShare, is_open).where(*same, AgentShare.state.in_(OPEN)).with_for_update()
    former = db.session.execute(found).first()
    if former is None:
        return
    before, still_open = former
    if still_open:
        word = "shared with" if before.state == "accepted" else "offered to"
        raise Invalid(subdomain=f"It is {word} “{subdomain}” already.")
    before.state, before.ended_at = "ended", now
    db.session.flush()


def _answered(share: Any, state: str, by: Actor) -> AgentShare:
    demand_allowed(policy.can_answer_offer(by, share))
    demand_office(by)
    locked = _locked(share, by)
    if locked is None or locked.state != "offered" or locked.expires_at <= datetime.now(UTC):
        raise Conflict(OVER)
    locked.state, locked.partner, locked.partner_name = state, by.tenant_id, by.organization_name
    locked.decided_by, locked.decided_at = by.id, datetime.now(UTC)
    return locked


def _locked(share: Any, by: Actor) -> AgentShare | None:
    """The share as it is now, kept from others until the transaction ends; None where it is none of ours any more."""
    ours = or_(AgentShare.tenant_id == by.tenant_id, AgentShare.partner == by.tenant_id, AgentShare.partner_subdomain == by.subdomain)
    found = select(AgentShare).where(AgentShare.tenant_id == share.tenant_id, AgentShare.id == share.id, ours).with_for_update()
    locked: AgentShare | None = db.session.execute(found.execution_options(populate_existing=True)).scalar_one_or_none()
    return locked


def _note(action: str, share: AgentShare, by: Actor) -> None:
    """Write it into the own audit log, and owe the other side the same."""
    owned = share.tenant_id == by.tenant_id
    partner = {"tenant": str(share.partner)} if share.partner else {"subdomain": share.partner_subdomain}
    whom = partner if owned else {"tenant": str(share.tenant_id)}
    told = {"action": action, "share": str(share.id), "agent": share.agent_name}
    jobs.ask("shares.tell", by=by, arguments={**told, **whom})
    other = (share.partner_name or share.partner_subdomain) if owned else share.owner_name
    changes = {"agent": [None, share.agent_name], "organization": [None, other]}
    audit.record(action, tenant_id=by.tenant_id, by=by, object_type="share", object_id=share.id, changes=changes)
