"""The own account's commands as HTML fields."""

from typing import Any

from flask_login import current_user
from wtforms import EmailField, PasswordField, RadioField, SelectChoice, StringField  # type: ignore[attr-defined]

from portal.account.commands import ChangeEmail, ChoosePreferences, EditProfile
from portal.auth.commands import ChangePassword
from portal.extensions import settings
from portal.forms import ConfirmingForm, EditingForm, ModelForm

THEMES = [SelectChoice("system", "Same as device"), SelectChoice("light", "Light"), SelectChoice("dark", "Dark")]
DENSITIES = [SelectChoice("comfortable", "Comfortable"), SelectChoice("compact", "Compact")]


class ProfileForm(EditingForm):
    command_type = EditProfile

    first_name = StringField("First name")
    last_name = StringField("Last name")
    username = StringField("Username")

    def context(self) -> dict[str, Any]:
        return {"username": current_user.username}


class EmailForm(ConfirmingForm):
    command_type = ChangeEmail

    email = EmailField("New e-mail")


class PreferencesForm(ModelForm):
    command_type = ChoosePreferences

    theme = RadioField("Appearance", choices=THEMES, validate_choice=False)
    density = RadioField("Tables", choices=DENSITIES, validate_choice=False)
    time_zone = StringField("Time zone")


class PasswordForm(ModelForm):
    command_type = ChangePassword

    old_password = PasswordField("Current password")
    new_password = PasswordField("New password")

    def context(self) -> dict[str, Any]:
        names = (current_user.first_name, current_user.last_name, current_user.username, current_user.email, current_user.organization_name)
        return {"password_minimum": settings().password_min_length, "hints": [name for name in names if name]}
