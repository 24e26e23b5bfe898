"""What the operator asks for."""

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from portal.values import EmailAddress, PersonName, Username, password_fault


class CreatePlatformAccount(BaseModel):
    username: Username
    email: EmailAddress
    first_name: PersonName
    last_name: PersonName
    password: SecretStr

    @field_validator("password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        hints = [str(value) for value in info.data.values()]
        fault = password_fault(password.get_secret_value(), hints, (info.context or {}).get("password_minimum", 12))
        if fault:
            raise ValueError(fault)
        return password
