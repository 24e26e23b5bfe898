"""Who may do what: the only file that compares roles."""

from dataclasses import dataclass

from portal.actor import Actor
from portal.jobs.models import Job
from portal.users.models import Role

LADDER = (Role.USER, Role.ORG_ADMIN, Role.ADMIN, Role.SUPER_ADMIN)
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

    def __bool__(self) -> bool:
        return False


Answer = Allowed | Denied
AN_ADMINISTRATOR = "an administrator of your organization"


def rank(role: str) -> int:
    """0 for the weakest role; raises ValueError for what is no role."""
    return LADDER.index(Role(role))


def is_platform(role: str) -> bool:
    return Role(role) in PLATFORM_ROLES


def administers_organization(actor: Actor) -> Answer:
    """May see and change how the own organization is run: its figures, its people, its data."""
    if rank(actor.role) >= rank(Role.ORG_ADMIN):
        return Allowed()
    return Denied("Only administrators of the organization see this.", AN_ADMINISTRATOR)


def may_see_job(actor: Actor, job: Job) -> Answer:
    """May see how far a job of the own organization is, and its report: whoever asked for it, and administrators."""
    if job.asked_by == actor.id or administers_organization(actor):
        return Allowed()
    return Denied("Only whoever asked for this and administrators of the organization see it.", AN_ADMINISTRATOR)
