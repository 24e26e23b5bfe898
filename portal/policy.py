"""Who may do what: the only file that compares roles."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID, uuid4

from portal.extensions import settings
from portal.jobs.models import Job
from portal.users.models import Role

LADDER = (Role.USER, Role.ORG_ADMIN, Role.ADMIN, Role.SUPER_ADMIN)
RANKS = {str(role): place for place, role in enumerate(LADDER)}
PLATFORM_ROLES = (Role.ADMIN, Role.SUPER_ADMIN)
ROLE_NAMES = {
    Role.USER: "User",
    Role.ORG_ADMIN: "Organization admin",
    Role.ADMIN: "Admin",
    Role.SUPER_ADMIN: "Super admin",
}


@dataclass(frozen=True)
class Allowed:
    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Denied:
    """Why not, in words, and who can help; false, so that guards and templates read naturally."""

    reason: str
    who_helps: str | None = None

    @property
    def words(self) -> str:
        """Both, as screens say it."""
        return f"{self.reason} Ask {self.who_helps}." if self.who_helps else self.reason

    def __bool__(self) -> bool:
        return False


Answer = Allowed | Denied
AN_ADMINISTRATOR = "an administrator of your organization"
ANOTHER_ADMINISTRATOR = "another administrator of your organization"
A_SUPER_ADMIN = "a super admin of the portal"
WITHDRAWN = "The agent was withdrawn. Bring it back first."


class Acting(Protocol):
    """What the rules ask of whoever acts."""

    @property
    def id(self) -> UUID: ...
    @property
    def role(self) -> Any: ...
    @property
    def is_verified(self) -> bool: ...


class Account(Acting, Protocol):
    """What the rules ask of an account: a row of the table, or a user."""

    @property
    def state(self) -> Any: ...


def rank(role: str) -> int:
    """0 for the weakest role; raises ValueError for what is no role."""
    place = RANKS.get(role)
    return LADDER.index(Role(role)) if place is None else place


def is_platform(role: str) -> bool:
    return Role(role) in PLATFORM_ROLES


def administers(role: str) -> bool:
    """Whether somebody of this role can hold up an organization: one such account must stay in office."""
    return Role(role) in (Role.ORG_ADMIN, Role.SUPER_ADMIN)


def administers_organization(actor: Acting) -> Answer:
    """May see and change how the own organization is run: its figures, its people, its data."""
    if rank(actor.role) >= rank(Role.ORG_ADMIN):
        return Allowed()
    return Denied("Only administrators of the organization see this.", AN_ADMINISTRATOR)


def grantable_roles(actor: Acting) -> tuple[Role, ...]:
    """The roles that the actor may give to somebody in the own organization, weakest first; those of the platform within it only."""
    if is_platform(actor.role):
        return PLATFORM_ROLES if Role(actor.role) is Role.SUPER_ADMIN else ()
    return (Role.USER, Role.ORG_ADMIN) if Role(actor.role) is Role.ORG_ADMIN else ()


def can_manage(actor: Acting, user: Account) -> Answer:
    """May change role and state of this account, and end its sessions: a weaker one's, or an equal's among org_admins and super_admins."""
    if not (may := administers_organization(actor)):
        return may
    if user.state == "removed":
        return Denied("This account was removed; nothing of it can be changed.")
    if user.id == actor.id:
        return Denied("Nobody changes their own role or state.", A_SUPER_ADMIN if is_platform(actor.role) else ANOTHER_ADMINISTRATOR)
    if rank(user.role) < rank(actor.role) or (user.role == actor.role and administers(actor.role)):
        return Allowed()
    return Denied(f"Only {_with_article(Role.SUPER_ADMIN)} may change {_with_article(Role(user.role))}.", A_SUPER_ADMIN)


def can_change_role(actor: Acting, user: Account) -> Answer:
    """May give another role, one or the other, to this account."""
    if not (may := can_manage(actor, user)):
        return may
    return (
        Allowed()
        if grantable_roles(actor)
        else Denied("Only a super admin gives roles in the organization of the platform.", A_SUPER_ADMIN)
    )


def can_grant(actor: Acting, user: Account, role: str) -> Answer:
    """May give this role to this account."""
    if not (may := can_manage(actor, user)):
        return may
    return _grants(actor, Role(role))


def can_change_to(actor: Acting, user: Account, role: str) -> Answer:
    """May give this role to this account, which has another one."""
    if not (may := can_grant(actor, user, role)):
        return may
    return Denied("The account has this role already.") if Role(user.role) is Role(role) else Allowed()


def is_still(user: Account, role: str, state: str) -> bool:
    """Whether an account has the role and the state that it was left with."""
    return bool(Role(user.role) is Role(role) and user.state == state)


def can_invite(actor: Acting, role: str) -> Answer:
    """May ask people to join the own organization in this role, and take such an invitation back."""
    if not (may := administers_organization(actor)):
        return may
    return _grants(actor, Role(role))


def has_confirmed_address(actor: Acting) -> Answer:
    """Has shown that the own e-mail address is theirs; where no mail is sent, nobody can, and nobody need."""
    if actor.is_verified or settings().mail_server is None:
        return Allowed()
    return Denied(
        "Confirm your e-mail address first, on the page of your account: invitations are mailed only for those who have shown it is theirs."
    )


def mails_invitations(actor: Acting) -> Answer:
    """May have mails sent to people who are no users, which invite them: by hand, by a file, and once more."""
    if not (may := administers_organization(actor)):
        return may
    return has_confirmed_address(actor) if grantable_roles(actor) else Denied("There is no role that you may give.", A_SUPER_ADMIN)


def manages_access_codes(actor: Acting) -> Answer:
    """May make and withdraw codes by which people join the own organization; the platform has none."""
    if not (may := administers_organization(actor)):
        return may
    return Denied("Nobody joins the platform by a code.") if is_platform(actor.role) else Allowed()


def can_import(actor: Acting) -> Answer:
    """May bring many people into the own organization by a file; accounts of the platform are made one by one."""
    if not (may := administers_organization(actor)):
        return may
    return Denied("Accounts of the platform are made one by one.") if is_platform(actor.role) else Allowed()


class Owned(Protocol):
    """What the rules ask of an agent: that its organization sees it is asked before."""

    @property
    def is_free_agent(self) -> bool: ...
    @property
    def is_shared(self) -> bool: ...
    @property
    def published_version(self) -> int | None: ...
    @property
    def is_active(self) -> bool: ...
    @property
    def is_enabled(self) -> bool: ...


class Used(Owned, Protocol):
    """What they ask besides of an agent that is to go: whether the own organization has used it, and whether others have it."""

    @property
    def conversations(self) -> int: ...
    @property
    def is_offered(self) -> bool: ...
    @property
    def was_shared(self) -> bool: ...


def makes_agents(actor: Acting) -> Answer:
    """May make agents and change them: org_admins those of the own organization, super_admins the free ones."""
    if rank(actor.role) < rank(Role.ORG_ADMIN):
        return Denied("Only administrators of the organization make agents.", AN_ADMINISTRATOR)
    return changes_free_agents(actor) if is_platform(actor.role) else Allowed()


def changes_free_agents(actor: Acting) -> Answer:
    """May make, change and withdraw the agents that every organization has."""
    if Role(actor.role) is Role.SUPER_ADMIN:
        return Allowed()
    return Denied("Free agents belong to every organization; only a super admin changes them.", A_SUPER_ADMIN)


def can_edit_agent(actor: Acting, agent: Owned) -> Answer:
    """May change this agent, see its versions, withdraw it and bring it back."""
    if agent.is_shared:
        return Denied("It belongs to another organization, which shares it with yours. To change it, make your own copy.")
    return changes_free_agents(actor) if agent.is_free_agent else makes_agents(actor)


def can_clone_agent(actor: Acting, agent: Owned) -> Answer:
    """May make an own agent that says what this one says."""
    return makes_agents(actor)


def can_publish_agent(actor: Acting, agent: Owned) -> Answer:
    """May put a version of this agent into use."""
    if not (may := can_edit_agent(actor, agent)):
        return may
    return Allowed() if agent.is_active else Denied(WITHDRAWN)


def can_remove_agent(actor: Acting, agent: Used) -> Answer:
    """May delete this agent for good."""
    if not (may := can_edit_agent(actor, agent)):
        return may
    if agent.is_free_agent:
        return Denied("Free agents are withdrawn, not removed: organizations may have used them.")
    if agent.conversations:
        return Denied("It was used in conversations, which keep its name. It can be withdrawn.")
    if agent.is_offered:
        return Denied("It is shared, or an offer of it is open or expired. End that first.")
    if agent.was_shared:  # whether the other one has used it is nobody's business
        return Denied("It was shared with another organization. It can be withdrawn.")
    return Allowed()


def can_switch_agent(actor: Acting, agent: Owned) -> Answer:
    """May switch this agent on and off for the people of the own organization."""
    if not (may := administers_organization(actor)):
        return Denied("Only administrators of the organization switch agents on and off.", AN_ADMINISTRATOR)
    if not agent.is_active:
        return Denied("The agent was withdrawn; nobody can switch it on.")
    if agent.published_version is None:
        return Denied("No version of it is published; nobody can use it.")
    if agent.is_free_agent and not agent.is_enabled:
        return Denied("The portal has switched it off for everybody.", A_SUPER_ADMIN)
    if agent.is_shared and not agent.is_enabled:
        return Denied("The organization that it belongs to has switched it off.")
    return may


class Shared(Protocol):
    """What the rules ask of an offer, and of what is shared."""

    @property
    def is_ours(self) -> bool: ...
    @property
    def state(self) -> str: ...


def shares_agents(actor: Acting) -> Answer:
    """May share agents of the own organization with others, and answer what those offer to it."""
    if not administers_organization(actor):
        return Denied("Only administrators of the organization share agents with others.", AN_ADMINISTRATOR)
    return Denied("The platform shares no agents; its own are free for every organization.") if is_platform(actor.role) else Allowed()


def can_share_agent(actor: Acting, agent: Owned) -> Answer:
    """May offer this agent to another organization."""
    if not (may := shares_agents(actor)):
        return may
    if agent.is_free_agent:
        return Denied("It is free: every organization has it already.")
    if agent.is_shared:
        return Denied("It belongs to another organization, which shares it with yours; only that one offers it.")
    if not agent.is_active:
        return Denied("The agent was withdrawn. Bring it back first.")
    return may if agent.published_version is not None else Denied("No version of it is published; nobody could use it.")


def can_answer_offer(actor: Acting, share: Shared) -> Answer:
    """May accept or refuse this offer for the own organization."""
    if not (may := shares_agents(actor)):
        return may
    return Denied("Your own organization has offered it; the other one answers.") if share.is_ours else may


def can_end_share(actor: Acting, share: Shared) -> Answer:
    """May end this: an own offer, and what is shared, from either side."""
    if not (may := shares_agents(actor)):
        return may
    waits = share.state == "offered" and not share.is_ours
    return Denied("Your organization has not accepted it. Refuse it instead.") if waits else may


def asks_for_password(role: str) -> bool:
    """Whether giving this role asks for a fresh password."""
    return rank(role) >= rank(Role.ORG_ADMIN)


def some_ask_for_password(roles: Iterable[str]) -> bool:
    """Whether giving one of these roles asks for a fresh password."""
    return any(asks_for_password(role) for role in roles)


def can_deactivate(actor: Acting, user: Account) -> Answer:
    """May keep somebody who can sign in from doing so."""
    if not (may := can_manage(actor, user)):
        return may
    return Allowed() if user.state == "active" else Denied("Only an active account can be deactivated.")


def can_reactivate(actor: Acting, user: Account) -> Answer:
    """May let somebody who was deactivated sign in again."""
    if not (may := can_manage(actor, user)):
        return may
    return Allowed() if user.state == "deactivated" else Denied("Only a deactivated account can be reactivated.")


def can_remove(actor: Acting, user: Account) -> Answer:
    """May erase names, address and password of an account for good."""
    if not (may := can_manage(actor, user)):
        return may
    return Allowed() if user.state == "deactivated" else Denied("Deactivate the account first; then it can be removed.")


def can_hand_over(actor: Acting, user: Account) -> Answer:
    """May make this account an administrator in the own place."""
    if not (may := can_manage(actor, user)):
        return may
    if not administers(actor.role):
        return Denied("There is nothing to hand over: your role is not one that must stay in office.")
    return Allowed() if user.state == "active" else Denied("Only an active account can take over.")


def can_make_password_link(actor: Acting, user: Account) -> Answer:
    """May make a link by which this account gets a new password, to hand it over."""
    if not (may := can_manage(actor, user)):
        return may
    return Allowed() if user.state == "active" else Denied("Only an active account can get a new password.")


@dataclass(frozen=True)
class Somebody:
    """Anybody of a role, to ask the rules about."""

    role: Role
    state: str = "active"
    id: UUID = field(default_factory=uuid4)
    is_verified: bool = True


@dataclass(frozen=True)
class Permission:
    """One line of the table of roles and permissions; `ask` asks the rule itself, about an actor."""

    group: str
    words: str
    ask: Callable[[Acting], Answer]


def everybody(_actor: Acting) -> Answer:
    """What whoever is signed in may do."""
    return Allowed()


def _about_somebody(rule: Callable[..., Answer], words: str, *more: Role, state: str = "active") -> tuple[Permission, ...]:
    """The rule asked about an account of each role; `more` are the rule's further questions."""
    return tuple(
        Permission("Users", words.format(_with_article(role)), lambda actor, role=role: rule(actor, Somebody(role, state), *more))  # type: ignore[misc]
        for role in LADDER
    )


def _with_article(role: Role) -> str:
    name = ROLE_NAMES[role].lower()
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


@dataclass(frozen=True)
class SomeAgent:
    """Any agent that the actor's organization sees, to ask the rules about."""

    is_free_agent: bool
    is_active: bool = True
    is_enabled: bool = True
    is_shared: bool = False
    published_version: int | None = 1


PERMISSIONS: tuple[Permission, ...] = (
    Permission("Own account", "See the overview and one's own account, change names, e-mail, password and preferences", everybody),
    Permission("Organization", "See the overview's figures", administers_organization),
    Permission("Organization", "See and change the settings", administers_organization),
    Permission("Organization", "Look through, export and check the audit log", administers_organization),
    Permission("Users", "See the users of the organization and their history", administers_organization),
    Permission("Users", "Make, see and withdraw access codes, accept who joined by one", manages_access_codes),
    *_about_somebody(can_change_role, "Change the role of {}"),
    *_about_somebody(can_manage, "Sign out {} everywhere"),
    *_about_somebody(can_make_password_link, "Make a link for a new password of {}"),
    Permission("Users", "Import many people from a file", can_import),
    Permission("Users", "Have invitations mailed, once one's own e-mail address is confirmed", mails_invitations),
    *_about_somebody(can_deactivate, "Deactivate {}"),
    *_about_somebody(can_reactivate, "Reactivate {} who was deactivated", state="deactivated"),
    *_about_somebody(can_remove, "Remove {} who was deactivated", state="deactivated"),
    *_about_somebody(can_hand_over, "Hand over one's own administration to {}"),
    *(
        Permission("Users", f"Make somebody {_with_article(role)}", lambda actor, role=role: _grants(actor, role))  # type: ignore[misc]
        for role in LADDER
    ),
    *(
        Permission("Users", f"Invite somebody as {_with_article(role)}", lambda actor, role=role: can_invite(actor, role))  # type: ignore[misc]
        for role in LADDER
    ),
    Permission("Agents", "See the agents that are on, and export one as a file", everybody),
    Permission("Agents", "Switch agents on and off for the organization", lambda actor: can_switch_agent(actor, SomeAgent(True))),
    Permission(
        "Agents",
        "Make, copy, change, publish, withdraw and remove agents, and import them from a file; those of an organization are its own",
        makes_agents,
    ),
    Permission("Agents", "Offer own agents to other organizations, accept and end what is shared", shares_agents),
    Permission("Agents", "Change and withdraw free agents", lambda actor: can_edit_agent(actor, SomeAgent(True))),
)


def _grants(actor: Acting, role: Role) -> Answer:
    if not (may := administers_organization(actor)):
        return may
    if role in grantable_roles(actor):
        return Allowed()
    if is_platform(actor.role) and is_platform(role):
        return Denied(f"Only a super admin may make somebody {_with_article(role)}.", A_SUPER_ADMIN)
    return Denied(f"The role {ROLE_NAMES[role].lower()} is not given in this organization.")


def table_of_roles() -> list[tuple[str, str, list[bool]]]:
    """Group, permission and, for each role of the ladder, whether it has it; asked of the rules at this moment."""
    return [(line.group, line.words, [bool(line.ask(Somebody(role))) for role in LADDER]) for line in PERMISSIONS]


def may_see_job(actor: Acting, job: Job) -> Answer:
    """May see how far a job of the own organization is, and its report: whoever asked for it, and administrators."""
    if job.asked_by == actor.id or administers_organization(actor):
        return Allowed()
    return Denied("Only whoever asked for this and administrators of the organization see it.", AN_ADMINISTRATOR)
