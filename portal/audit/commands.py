"""What people ask of the audit log."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator

from portal.audit.sentences import SENTENCES
from portal.values import MayBeCleared


def of_our_time(day: date) -> date:
    if not 1970 <= day.year <= 2999:
        raise ValueError("Choose a day between 1970 and 2999.")
    return day


Day = Annotated[date, AfterValidator(of_our_time)]


class LookThrough(BaseModel):
    """Which entries: part of a name, an action, a kind of object, days (both included), and those before a number."""

    who: Annotated[Annotated[str, Field(max_length=100)] | None, MayBeCleared] = None
    action: Annotated[str | None, MayBeCleared] = None
    about: Annotated[Literal["organization", "user", "agent", "share"] | None, MayBeCleared] = None
    since: Annotated[Day | None, MayBeCleared] = None
    until: Annotated[Day | None, MayBeCleared] = None
    before: Annotated[Annotated[int, Field(ge=1, le=2**62)] | None, MayBeCleared] = None

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
