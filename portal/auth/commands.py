"""What people ask for when they sign in."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, SecretStr, StringConstraints, ValidationInfo, field_validator

from portal.values import strong_password


def typed_something(text: str) -> str:
    if not text:
        raise ValueError("Fill this in.")
    if "\x00" in text:
        raise ValueError("This holds a character that cannot be typed.")
    return text


Typed = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(typed_something)]


class Confirmed(BaseModel):
    """Something that asks for the password once more, unless it was typed a moment ago."""

    password: SecretStr = SecretStr("")


class ChangePassword(BaseModel):
    """The password until now and the new one; `context` may hold `password_minimum` and `hints`, names that must not make it up."""

    old_password: SecretStr
    new_password: SecretStr

    @field_validator("new_password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info)


class SignIn(BaseModel):
    """Organization (subdomain), e-mail or username, password; no rule here tells whether an account exists."""

    organization: Typed
    login: Typed
    password: SecretStr
