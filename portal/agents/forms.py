"""Agents as HTML fields; their configuration in two views of one document, a form and JSON."""

from collections.abc import Mapping
from typing import Any

from wtforms import BooleanField, FormField, HiddenField, StringField, TextAreaField

from portal.agents.commands import EditAgent, MakeAgent, NameVersion, Nothing
from portal.agents.configuration import Setting, faults, fields, merged, shown
from portal.errors import Invalid
from portal.forms import CreatingForm, EditingForm, ModelForm, NestedForm
from portal.values import fingerprint, read_configuration, seems_readable

IN_LINES = ("long text", "lines")
SettingsForm: Any = type(
    "SettingsForm",
    (NestedForm,),
    {one.key: (TextAreaField if one.kind in IN_LINES else StringField)(one.label) for one in fields()},
)


class AgentForm(ModelForm):
    """What both forms ask. In the `view` "form" the document of `configuration` goes along unseen, and takes what `settings` say.

    `drawn` is a digest of the document that the settings showed: where another one comes back, somebody wrote that one.
    """

    name = StringField("Name")
    agent_type = StringField("Type")
    description = TextAreaField("What it is for")
    capabilities = TextAreaField("What it can do")
    configuration = TextAreaField("Configuration", default="{}")
    settings: Any = FormField(SettingsForm)
    view = HiddenField(default="form")
    drawn = HiddenField()
    comment = StringField("What is new")
    publish = BooleanField()
    refused: Mapping[str, str] = {}

    def fill(self, typed: Mapping[str, str]) -> None:
        super().fill(typed)
        if self.drawn.data != self._digest() or not self._is_readable():  # the settings show another document, or cannot show this one
            self.view.data = "json"

    def typed(self) -> dict[str, Any]:
        self.refused = {}
        if self.view.data == "form" and self.drawn.data != self._digest():
            self.view.data = "json"
        if self.view.data == "form":
            document = self._merged()
            if document != self.configuration.data:
                self.configuration.data = document
                self.drawn.data = self._digest()
        return super().typed()

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        valid = super().validate(extra_validators)
        if self.refused:
            self.configuration.errors = []  # the same, of the document as a whole
            self._blame_settings()
        return valid and not self.refused

    def turn_to(self, view: str) -> None:
        """Show what was typed in this view; it stays in the other one where something typed there cannot be."""
        self.typed()
        self._blame_settings()
        if not self.refused:
            self.view.data = view if view == "form" else "json"
            self.draw()

    def draw(self) -> None:
        """Let the settings show what the document says, where they are seen; one that cannot be read is seen as JSON."""
        try:
            read_configuration(self.configuration.data or "")
        except ValueError as fault:
            self.view.data = "json"
            self.configuration.errors = self.configuration.errors or [str(fault)]
            return
        self.drawn.data = self._digest()
        for one, text in zip(fields(), self.shown.values(), strict=True):
            self.settings.form[one.key].process(None, text or "")

    @property
    def shown(self) -> dict[str, str | None]:
        """What the form view shows, by the names of the settings; None for what only JSON can show."""
        return shown(self.configuration.data or "")

    @property
    def unknown(self) -> list[str]:
        """The keys of the document that the form does not show, at most ten."""
        top = {one.path[0] for one in fields()}
        return [key for key in read_configuration(self.configuration.data or "") if key not in top][:10]

    @property
    def known(self) -> tuple[Setting, ...]:
        return fields()

    def _merged(self) -> str:
        """The document with what the settings say; as it was where they, or it, cannot be taken.

        Most are not read beforehand: they can be read, and what comes of them is read anyway. Where that fails, the fault is the
        document's, which is then seen as JSON, or that of what was typed.
        """
        document = (self.configuration.data or "").replace("\r\n", "\n")
        said = {one.name: self._said(one.key) for one in fields()}
        try:
            if not seems_readable(document):
                read_configuration(document)
            result = merged(document, said)
            self.refused = faults(result)
        except (Invalid, ValueError, RecursionError) as fault:
            if isinstance(fault, Invalid) and self._is_readable():
                self.refused = fault.fields
            else:
                self.view.data = "json"
            return document
        return result

    def _digest(self) -> str:
        return fingerprint((self.configuration.data or "").replace("\r\n", "\n")).hex()[:16]

    def _is_readable(self) -> bool:
        try:
            read_configuration(self.configuration.data or "")
        except ValueError:
            return False
        return True

    def _said(self, key: str) -> str | None:
        """What was typed there; None where the page did not show it."""
        field = self.settings.form[key]
        return field.data if field.raw_data else None

    def _blame_settings(self) -> None:
        for name, sentence in self.refused.items():
            key = next((one.key for one in fields() if one.name == name), None)
            self.blame(["settings", key] if key else ["configuration"], sentence)


class MakeAgentForm(AgentForm, CreatingForm):
    command_type = MakeAgent
    is_enabled = BooleanField("Switched on", default=True)


class EditAgentForm(AgentForm, EditingForm):
    command_type = EditAgent


class CloneForm(CreatingForm):
    """Asks nothing; only what keeps a form that is sent twice from making two."""

    command_type = Nothing


class VersionForm(ModelForm):
    command_type = NameVersion
    number = HiddenField()
