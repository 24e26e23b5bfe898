"""The commands of files of agents as HTML fields."""

from typing import Any

from flask import request
from wtforms import BooleanField, FileField, HiddenField, TextAreaField

from portal.agent_files.commands import BringIn, TakeFile
from portal.forms import CreatingForm, ModelForm


class FileForm(ModelForm):
    command_type = TakeFile

    file = FileField("File to import")  # read from the files of the request, where no other form looks

    def typed(self) -> dict[str, Any]:
        sent = request.files.get("file")
        return {"file": sent.read() if sent else b""}


class BringInForm(CreatingForm):
    command_type = BringIn

    document = TextAreaField()
    seen = HiddenField()
    publish = BooleanField("Publish what is imported at once")
