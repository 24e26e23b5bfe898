"""The organization's commands as HTML fields."""

from typing import Any

from wtforms import EmailField, FormField, PasswordField, StringField, TelField, TextAreaField

from portal.extensions import settings
from portal.forms import CreatingForm, EditingForm, NestedForm
from portal.organizations.commands import EditOrganization, RegisterOrganization, context_of
from portal.values import AddressField, address_fields, country_codes, format_address


class AddressForm(NestedForm):
    """Every part that any country's addresses have; the page shows those of the chosen one."""

    country = StringField("Country")
    street_address = TextAreaField("Street address")
    city = StringField("City")
    city_area = StringField("District")
    country_area = StringField("Region")
    postal_code = StringField("Postal code")
    sorting_code = StringField("Sorting code")

    @property
    def parts(self) -> list[AddressField]:
        """The parts of the chosen country's addresses, in its order; none while no country is chosen."""
        country = self.country.data or ""
        return address_fields(country) if country in country_codes() else []

    def show_parts(self) -> list[AddressField]:
        """The same, with the country's own words for them on the labels."""
        for part in self.parts:
            self[part.key].label.text = part.label
        return self.parts

    def typed(self) -> dict[str, str]:
        """What was typed under another country's fields waits in the form for that country, and is not part of this address."""
        parts = self.parts
        used = {"country", *(part.key for part in parts)}
        return {key: field.data or "" for key, field in self._fields.items() if key in used or not parts}

    def shown(self) -> str:
        """The address as it is written on paper."""
        return "\n".join(format_address(self.typed()))


class SettingsForm(EditingForm):
    command_type = EditOrganization

    name = StringField("Name of your organization")
    full_name = StringField("Full legal name")
    description = TextAreaField("Instructions for your agents")
    address = FormField(AddressForm)
    phone = TelField("Phone")
    organization_email = EmailField("E-mail of the organization")

    def context(self) -> dict[str, Any]:
        return context_of(self.typed())


class RegistrationForm(CreatingForm):
    command_type = RegisterOrganization

    name = StringField("Name of your organization")
    full_name = StringField("Full legal name")
    subdomain = StringField("Short name")
    description = TextAreaField("Instructions for your agents")
    address = FormField(AddressForm)
    phone = TelField("Phone")
    organization_email = EmailField("E-mail of the organization")
    admin_first_name = StringField("First name")
    admin_last_name = StringField("Last name")
    admin_username = StringField("Username")
    admin_email = EmailField("Your e-mail")
    admin_password = PasswordField("Password")

    def context(self) -> dict[str, Any]:
        return context_of(self.typed(), settings().password_min_length)
