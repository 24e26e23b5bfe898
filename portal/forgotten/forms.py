"""What was forgotten, as HTML fields."""

from typing import Any

from wtforms import EmailField, PasswordField, StringField

from portal.extensions import settings
from portal.forgotten.commands import ChoosePassword, FindOrganizations, ForgotPassword, MakeLink
from portal.forms import ConfirmingForm, ModelForm


class ForgotPasswordForm(ModelForm):
    command_type = ForgotPassword

    organization = StringField("Organization")
    login = StringField("E-mail or username")


class FindOrganizationsForm(ModelForm):
    command_type = FindOrganizations

    email = EmailField("Your e-mail")


class MakeLinkForm(ConfirmingForm):
    command_type = MakeLink


class ChoosePasswordForm(ModelForm):
    command_type = ChoosePassword
    names: list[str] = []

    password = PasswordField("New password")

    def context(self) -> dict[str, Any]:
        return {"password_minimum": settings().password_min_length, "hints": self.names}
