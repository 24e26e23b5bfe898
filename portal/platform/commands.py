"""What the operator asks for."""

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from portal.values import EmailAddress, PersonName, Username, strong_password


class CreatePlatformAccount(BaseModel):
    """An account above the organizations; `context` may hold `password_minimum`."""

    username: Username
    email: EmailAddress
    first_name: PersonName
    last_name: PersonName
    password: SecretStr

    @field_validator("password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info, hints=("username", "email", "first_name", "last_name"))
