"""What people ask for about organizations."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationInfo, field_validator

from portal.values import Address, EmailAddress, LongText, MayBeCleared, Name, PersonName, Subdomain, Username, parse_phone, strong_password


def understood_phone(number: str, info: ValidationInfo) -> str:
    return parse_phone(number, (info.context or {}).get("country"))


Phone = Annotated[str, AfterValidator(understood_phone)]


class RegisterOrganization(BaseModel):
    """A new organization and its first administrator; `context_of(data)` tells phone and password what is around them."""

    name: Name
    full_name: Name
    subdomain: Subdomain
    description: LongText
    address: Address
    phone: Phone
    organization_email: EmailAddress
    admin_first_name: PersonName
    admin_last_name: PersonName
    admin_username: Username
    admin_email: EmailAddress
    admin_password: SecretStr

    @field_validator("admin_password")
    @classmethod
    def strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        return strong_password(password, info, hints=HINTS)


class EditOrganization(BaseModel):
    """What an organization says about itself; `version` is the one that the person saw."""

    name: Name
    full_name: Annotated[Name | None, MayBeCleared]
    description: LongText
    address: Annotated[Address | None, MayBeCleared]
    phone: Annotated[Phone | None, MayBeCleared]
    organization_email: Annotated[EmailAddress | None, MayBeCleared]
    version: int


HINTS = ("name", "full_name", "subdomain", "admin_first_name", "admin_last_name", "admin_username", "admin_email")


def context_of(data: dict[str, Any], password_minimum: int | None = None) -> dict[str, Any]:
    """What the rules of RegisterOrganization need besides the fields: the country that the phone number is read in."""
    address = data.get("address")
    country = address.get("country") if isinstance(address, dict) else None
    minimum = {"password_minimum": password_minimum} if password_minimum else {}
    return {"country": country if isinstance(country, str) else None, **minimum}
