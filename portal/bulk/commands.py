"""What people ask for about many accounts at once."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from portal.auth.commands import Confirmed
from portal.users.commands import FindUsers

MOST = 1_000  # accounts in one request; more are changed in a job
Act = Literal["role:user", "role:org_admin", "role:admin", "role:super_admin", "deactivate", "reactivate", "sign_out"]


class Shown(BaseModel):
    """What a preview of all that fit a search has shown: the number of accounts, and the moment as of which they fitted."""

    number: Annotated[int, Field(ge=0, le=1_000_000_000)]
    as_of: datetime

    @field_validator("as_of", mode="before")
    @classmethod
    def moment(cls, written: object) -> datetime:
        try:
            read = datetime.fromisoformat(str(written))
        except ValueError:
            read = datetime.min
        if read.tzinfo is None:
            raise ValueError("This does not say when the accounts were looked at. Look at them once more.")
        return read


class ActOnMany(Confirmed):
    """One act on the accounts with these ids, or on all that fit a search; which role, where one is given, stands behind a colon.

    `shown` is what the preview of a search has shown, None before there is one.
    """

    act: Act
    search: FindUsers | None = None
    shown: Shown | None = None
    users: list[UUID] = []

    @field_validator("act", mode="before")
    @classmethod
    def chosen(cls, act: object) -> object:
        if not act:
            raise ValueError("Choose what is to be done.")
        return act

    @field_validator("users", mode="before")
    @classmethod
    def few(cls, users: object) -> object:
        """Counted before each is looked at."""
        if isinstance(users, list) and len(users) > MOST:
            raise ValueError(f"These are {len(users):,} accounts; select at most {MOST:,}, or all that fit a search.")
        return users

    @field_validator("users")
    @classmethod
    def some(cls, users: list[UUID], info: ValidationInfo) -> list[UUID]:
        if not users and info.data.get("search") is None:
            raise ValueError("Select at least one account.")
        return list(dict.fromkeys(users))

    @property
    def kind(self) -> str:
        return self.act.partition(":")[0]

    @property
    def role(self) -> str | None:
        return self.act.partition(":")[2] or None


class Undo(Confirmed):
    """Take an act back, as far as everything is as it left it."""
