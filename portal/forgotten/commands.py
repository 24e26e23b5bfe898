"""What people ask for who have forgotten something."""

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from portal.auth.commands import Confirmed, NamedAccount
from portal.values import EmailAddress, strong_password


class ForgotPassword(NamedAccount):
    """A link for a new password, to be mailed to an account."""


class FindOrganizations(BaseModel):
    """A mail from each organization that knows this address."""

    email: EmailAddress


class MakeLink(Confirmed):
    """A link for somebody else's new password, to be handed over."""


class ChoosePassword(BaseModel):
    """A new password by a link; `context` may hold `password_minimum` and `hints`, names that must not make it up."""

    password: SecretStr

    @field_validator("password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info)
