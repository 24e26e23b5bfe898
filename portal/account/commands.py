"""What people ask for about their own account."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ValidationInfo

from portal.auth.commands import Confirmed
from portal.values import EmailAddress, MayBeCleared, PersonName, TimeZone, clean_username


def kept_or_clean(typed: Any, info: ValidationInfo) -> str:
    """The username as it is, which may be older than today's rules, or a new one that keeps them."""
    return str(typed) if typed == (info.context or {}).get("username") else clean_username(typed)


class EditProfile(BaseModel):
    """How a person is called; `context` may hold `username`, the one until now. `version` is the one that the person saw."""

    first_name: Annotated[PersonName | None, MayBeCleared]
    last_name: Annotated[PersonName | None, MayBeCleared]
    username: Annotated[str, BeforeValidator(kept_or_clean)]
    version: int


class ChangeEmail(Confirmed):
    """Another address for the account."""

    email: EmailAddress


class ChoosePreferences(BaseModel):
    """How a person reads the portal; without a time zone it is that of the device."""

    theme: Literal["system", "light", "dark"]
    time_zone: Annotated[TimeZone | None, MayBeCleared]
    density: Literal["comfortable", "compact"]
