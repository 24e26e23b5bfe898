"""The commands about users as HTML fields."""

from typing import Any

from wtforms import SelectField, SelectMultipleField, StringField

from portal.forms import ConfirmingForm, ModelForm
from portal.users.commands import ChangeRole, ChooseColumns, HandOver, RemoveUser


class RoleForm(ConfirmingForm):
    command_type = ChangeRole

    role = SelectField("Role", choices=[], validate_choice=False)


class HandOverForm(ConfirmingForm):
    command_type = HandOver


class RemoveForm(ModelForm):
    command_type = RemoveUser

    name = StringField("Full name")


class ColumnsForm(ModelForm):
    command_type = ChooseColumns

    columns = SelectMultipleField("Columns", choices=[], validate_choice=False)
    rows = SelectField("Rows on a page", choices=[], validate_choice=False)

    def typed(self) -> dict[str, Any]:
        """A list also where none is chosen: a browser then sends nothing."""
        return {"columns": self.columns.data or [], "rows": self.rows.data or ""}
