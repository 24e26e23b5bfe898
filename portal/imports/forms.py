"""The commands of an import as HTML fields."""

from typing import Any

from flask import request
from wtforms import FileField, HiddenField, RadioField, SelectChoice, SelectMultipleField  # type: ignore[attr-defined]

from portal.forms import ConfirmingForm, ModelForm
from portal.imports.commands import BeginImport, MatchColumns, TakeFile


class FileForm(ModelForm):
    command_type = TakeFile

    file = FileField("CSV file")  # read from the files of the request, where no other form looks
    become = RadioField(
        "What they become",
        choices=[
            SelectChoice("invited", "Invited; each chooses username and password"),
            SelectChoice("deactivated", "Deactivated accounts; nobody is notified"),
        ],
        default="invited",
        validate_choice=False,
    )

    def typed(self) -> dict[str, Any]:
        sent = request.files.get("file")
        return {"name": sent.filename or "" if sent else "", "file": sent.read() if sent else b"", "become": self.become.data or ""}


class ColumnsForm(ModelForm):
    """One answer for each column, in their order."""

    command_type = MatchColumns

    columns = SelectMultipleField("What the columns hold", choices=[], validate_choice=False)


class BeginForm(ConfirmingForm):
    command_type = BeginImport

    preview = HiddenField()
