"""What people ask for about organizations."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationInfo, field_validator

from portal.values import Address, EmailAddress, LongText, Name, PersonName, Subdomain, Username, parse_phone, password_fault

MINIMUM = 12


def understood_phone(number: str, info: ValidationInfo) -> str:
    return parse_phone(number, (info.context or {}).get("country"))


Phone = Annotated[str, AfterValidator(understood_phone)]


class RegisterOrganization(BaseModel):
    """A new organization and its first administrator; `validate` it with `context_of(data)` so that phone and password know their surroundings."""

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
        hints = [str(info.data[name]) for name in HINTS if info.data.get(name)]
        fault = password_fault(password.get_secret_value(), hints, (info.context or {}).get("password_minimum", MINIMUM))
        if fault:
            raise ValueError(fault)
        return password


HINTS = ("name", "full_name", "subdomain", "admin_first_name", "admin_last_name", "admin_username", "admin_email")


def context_of(data: dict[str, Any], password_minimum: int = MINIMUM) -> dict[str, Any]:
    """What the rules of RegisterOrganization need besides the fields: the country that the phone number is read in."""
    address = data.get("address")
    country = address.get("country") if isinstance(address, dict) else None
    return {"country": country if isinstance(country, str) else None, "password_minimum": password_minimum}
