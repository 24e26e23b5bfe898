"""What people ask for about access codes."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from portal.auth.commands import Typed
from portal.values import EmailAddress, MayBeCleared, Name, PersonName, Username, strong_password


class MakeCode(BaseModel):
    """A code by which people join: what it is for, its end in days, how many may use it, and whether each waits to be accepted."""

    label: Name
    days: Annotated[Annotated[int, Field(ge=1, le=366)] | None, MayBeCleared] = None
    max_uses: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, MayBeCleared] = None
    needs_approval: Annotated[bool, BeforeValidator(bool)] = False


class ShowCode(BaseModel):
    """An organization's short name and a code; no rule here tells whether either exists."""

    organization: Typed
    code: Typed


class Join(ShowCode):
    """Joining by a code; `context` may hold `password_minimum`."""

    first_name: PersonName
    last_name: PersonName
    username: Username
    email: EmailAddress
    password: SecretStr

    @field_validator("password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info, hints=("first_name", "last_name", "username", "email", "organization"))
