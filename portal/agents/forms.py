"""Agents as HTML fields."""

from wtforms import BooleanField, HiddenField, StringField, TextAreaField

from portal.agents.commands import EditAgent, MakeAgent, NameVersion, Nothing
from portal.forms import CreatingForm, EditingForm, ModelForm


class AgentFields:
    """What both forms ask."""

    name = StringField("Name")
    agent_type = StringField("Type")
    description = TextAreaField("What it is for")
    capabilities = TextAreaField("What it can do")
    configuration = TextAreaField("Configuration", default="{}")
    comment = StringField("What is new")
    publish = BooleanField()


class MakeAgentForm(AgentFields, CreatingForm):
    command_type = MakeAgent
    is_enabled = BooleanField("Switched on", default=True)


class EditAgentForm(AgentFields, EditingForm):
    command_type = EditAgent


class CloneForm(CreatingForm):
    """Asks nothing; only what keeps a form that is sent twice from making two."""

    command_type = Nothing


class VersionForm(ModelForm):
    command_type = NameVersion
    number = HiddenField()
