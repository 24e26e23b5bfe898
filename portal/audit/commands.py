"""What people ask of the audit log."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from portal.audit.sentences import SENTENCES
from portal.values import MayBeCleared


class LookThrough(BaseModel):
    """Which entries: part of a name, an action, a kind of object, days (UTC, both included), and those before a number."""

    who: Annotated[str | None, MayBeCleared, Field(max_length=100)] = None
    action: Annotated[str | None, MayBeCleared] = None
    about: Annotated[Literal["organization", "user"] | None, MayBeCleared] = None
    since: Annotated[date | None, MayBeCleared] = None
    until: Annotated[date | None, MayBeCleared] = None
    before: Annotated[int | None, MayBeCleared, Field(ge=1, lt=2**62)] = None

    @field_validator("who")
    @classmethod
    def of_letters(cls, who: str | None) -> str | None:
        if who and "\x00" in who:
            raise ValueError("This holds a character that cannot be typed.")
        return who

    @field_validator("action")
    @classmethod
    def known(cls, action: str | None) -> str | None:
        if action is not None and action not in SENTENCES:
            raise ValueError("Choose an action from the list.")
        return action

    @property
    def narrowed(self) -> bool:
        """Whether anything but the page was asked for."""
        return any((self.who, self.action, self.about, self.since, self.until))
