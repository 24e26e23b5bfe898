"""What people ask for when they import people."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, field_validator

from portal.auth.commands import Confirmed

LARGEST = 20 * 1000 * 1000  # bytes of a file
Become = Literal["invited", "deactivated"]
Holds = Literal["", "email", "first_name", "last_name", "username", "role"]


class TakeFile(BaseModel):
    """A CSV file of people, and what they become: invited by mail, or accounts that are deactivated and nobody has a password of."""

    name: str
    file: bytes
    become: Become

    @field_validator("file")
    @classmethod
    def fits(cls, file: bytes) -> bytes:
        if not file:
            raise ValueError("Choose a file; an empty one holds nobody.")
        if len(file) > LARGEST:
            raise ValueError(f"This file has {len(file):,} bytes; at most {LARGEST:,} (20 MB) are taken. Divide it.")
        return file

    @field_validator("name")
    @classmethod
    def shortened(cls, name: str) -> str:
        return "".join(sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable())[:200] or "a file without a name"


class MatchColumns(BaseModel):
    """What each column of the file holds, in the order of the file; '' where it is not used."""

    columns: list[Holds]


class BeginImport(Confirmed):
    """Import the people of a file as `preview`, the job that looked through it, has told; asks for the password where administrators are
    among them.
    """

    preview: UUID
