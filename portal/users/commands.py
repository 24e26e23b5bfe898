"""What people ask for about the users of an organization."""

import base64
import binascii
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from portal.auth.commands import Confirmed
from portal.values import MayBeCleared, folded

Role = Literal["user", "org_admin", "admin", "super_admin"]
SORTS = ("name", "username", "email", "verified", "role", "state", "last_sign_in", "since")
ROWS = (25, 50, 100)
LONGEST_CURSOR = 4_000  # of a legacy username as long as an index can hold
SIGNS = "@._-'"  # between the pieces of words; nobody is looked for by them alone


class Cursor(BaseModel):
    """A place between two rows: what the row beside it is sorted by, its id last."""

    values: list[str | bool]

    @classmethod
    def read(cls, written: str) -> "Cursor":
        """Raises ValueError for what `written` has not made."""
        try:
            if len(written) > LONGEST_CURSOR:
                raise ValueError
            values = json.loads(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))
            return cls(values=values)
        except (binascii.Error, ValueError, RecursionError):
            raise ValueError("This link to a page of the list is not complete. Begin with the first page.") from None

    def written(self) -> str:
        """As it stands in an address; `read` makes the same of it again."""
        plain = json.dumps(self.values, separators=(",", ":"), ensure_ascii=False)
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


class FindUsers(BaseModel):
    """Which users: what was typed, filters, the column they are sorted by (`-` in front for the other way), how many, and from where."""

    q: Annotated[str, Field(max_length=100)] = ""
    role: Annotated[Role | None, MayBeCleared] = None
    state: Annotated[Literal["active", "deactivated", "invited", "waiting", "removed"] | None, MayBeCleared] = None
    verified: Annotated[Literal["yes", "no"] | None, MayBeCleared] = None
    signed_in: Annotated[Literal["never", "week", "quarter", "longer"] | None, MayBeCleared] = None
    sort: str = "name"
    rows: Annotated[Literal["25", "50", "100"] | None, MayBeCleared] = None
    after: Annotated[str | None, MayBeCleared] = None
    before: Annotated[str | None, MayBeCleared] = None

    @field_validator("sort")
    @classmethod
    def known(cls, sort: str) -> str:
        if sort.removeprefix("-") not in SORTS:
            raise ValueError("Choose a column from the list.")
        return sort

    @field_validator("after", "before")
    @classmethod
    def readable(cls, cursor: str | None) -> str | None:
        if cursor:
            Cursor.read(cursor)
        return cursor

    @property
    def words(self) -> str:
        """What is searched for, folded as what it is searched in; '' for nothing."""
        return " ".join(word for word in folded(self.q).split() if word.strip(SIGNS))

    @property
    def column(self) -> str:
        """One of SORTS."""
        return self.sort.removeprefix("-")

    @property
    def falling(self) -> bool:
        """Whether from the last to the first."""
        return self.sort.startswith("-")

    @property
    def narrowed(self) -> bool:
        """Whether anything but order and page was asked for."""
        return any((self.words, self.role, self.state, self.verified, self.signed_in))

    @property
    def paged(self) -> bool:
        """Whether a page between others was asked for."""
        return bool(self.after or self.before)

    @cached_property
    def said(self) -> dict[str, Any]:
        """All but the page, by name."""
        return {name: value for name in SAID if (value := getattr(self, name))}

    def query(self, **other: Any) -> dict[str, Any]:
        """What a link to this list says, without the page; `other` replaces parts, None and '' leave them away."""
        said = {**self.said, **other}
        return {name: str(value) for name, value in said.items() if value and not (name == "sort" and value == "name")}


SAID = [name for name in FindUsers.model_fields if name not in ("after", "before")]


class ChangeRole(Confirmed):
    """Another role; from org_admin on it asks for the password again."""

    role: Role


class HandOver(Confirmed):
    """Somebody else becomes an administrator in the place of the actor."""


class RemoveUser(BaseModel):
    """Erase an account for good; `name` is the user's full name, typed to be sure."""

    name: Annotated[str, Field(max_length=4_000)]  # legacy names have no end


class ChooseColumns(BaseModel):
    """Which columns of the table a person sees, and how many rows."""

    columns: Annotated[list[Literal["username", "email", "role", "state", "last_sign_in", "since"]], Field(max_length=6)]
    rows: Literal["25", "50", "100"]
