"""What people ask for about invitations."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from portal.auth.commands import Confirmed
from portal.values import PersonName, Username, clean_lines, strong_password

MOST = 200  # addresses in one invitation
BETWEEN = re.compile(r"[\s,;<>()\[\]\"]+")


def addresses_in(typed: str) -> list[str]:
    """What looks like an address in a text of any shape: lists, lines, `Name <address>`; in its order, each once."""
    found = [part.strip(".'“”") for part in BETWEEN.split(typed) if "@" in part]
    return list(dict.fromkeys(found))


def one_line(value: object) -> str | None:
    return clean_lines(value, 500) or None


class Invite(Confirmed):
    """Ask people to join: their addresses, pasted in any shape, one role for all, and a line that goes with it."""

    addresses: Annotated[str, Field(max_length=40_000)]
    role: Literal["user", "org_admin", "admin", "super_admin"]
    line: Annotated[str | None, BeforeValidator(one_line)] = None
    days: Annotated[int, Field(ge=1, le=60)] = 7

    @field_validator("addresses")
    @classmethod
    def some(cls, typed: str) -> str:
        found = addresses_in(typed)
        if not found:
            raise ValueError("There is no e-mail address in this. Enter one or more, for example mara@example.org.")
        if len(found) > MOST:
            raise ValueError(f"These are {len(found)} addresses; invite at most {MOST} at a time.")
        return typed


class SendAgain(Confirmed):
    """Another link for an invitation, in place of the one before."""


class Accept(BaseModel):
    """What somebody says who accepts an invitation; `context` may hold `password_minimum` and `hints`."""

    first_name: PersonName
    last_name: PersonName
    username: Username
    password: SecretStr

    @field_validator("password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info, hints=("first_name", "last_name", "username"))
