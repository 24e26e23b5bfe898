"""Invitations as HTML fields."""

from typing import Any

from wtforms import PasswordField, SelectField, StringField, TextAreaField

from portal.extensions import settings
from portal.forms import ConfirmingForm, ModelForm
from portal.invitations.commands import Accept, Invite, SendAgain


class InviteForm(ConfirmingForm):
    command_type = Invite

    addresses = TextAreaField("E-mail addresses")
    role = SelectField("Role", choices=[], validate_choice=False)
    line = TextAreaField("A line from you")
    days = StringField("Days until it ends", default="7")


class SendAgainForm(ConfirmingForm):
    command_type = SendAgain


class AcceptForm(ModelForm):
    command_type = Accept

    first_name = StringField("First name")
    last_name = StringField("Last name")
    username = StringField("Username")
    password = PasswordField("Password")

    def context(self) -> dict[str, Any]:
        return {"password_minimum": settings().password_min_length}
