"""The own account's commands as HTML fields."""

from typing import Any

from flask_login import current_user
from wtforms import PasswordField

from portal.auth.commands import ChangePassword
from portal.extensions import settings
from portal.forms import ModelForm


class PasswordForm(ModelForm):
    command_type = ChangePassword

    old_password = PasswordField("Password until now")
    new_password = PasswordField("New password")

    def context(self) -> dict[str, Any]:
        names = (current_user.first_name, current_user.last_name, current_user.username, current_user.email, current_user.organization_name)
        return {"password_minimum": settings().password_min_length, "hints": [name for name in names if name]}
