"""Who may do what: the only file that compares roles."""

from dataclasses import dataclass
from typing import Protocol

from portal.users.models import Role

LADDER = (Role.USER, Role.ORG_ADMIN, Role.ADMIN, Role.SUPER_ADMIN)
PLATFORM_ROLES = (Role.ADMIN, Role.SUPER_ADMIN)
ROLE_NAMES = {
    Role.USER: "User",
    Role.ORG_ADMIN: "Organization admin",
    Role.ADMIN: "Admin",
    Role.SUPER_ADMIN: "Super admin",
}


class HasRole(Protocol):
    @property
    def role(self) -> str: ...


@dataclass(frozen=True)
class Holder:
    """Somebody of whom only the role is known."""

    role: str


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


def rank(someone: HasRole) -> int:
    return LADDER.index(Role(someone.role))


def is_platform(someone: HasRole) -> bool:
    return Role(someone.role) in PLATFORM_ROLES


def administers_organization(actor: HasRole) -> Answer:
    """May see and change how the own organization is run: its figures, its people, its data."""
    if rank(actor) >= LADDER.index(Role.ORG_ADMIN):
        return Allowed()
    return Denied("Only administrators of the organization see this.", AN_ADMINISTRATOR)
