"""Agents as HTML fields."""

from wtforms import BooleanField, StringField, TextAreaField

from portal.agents.commands import EditAgent, MakeAgent
from portal.forms import CreatingForm, EditingForm


class AgentFields:
    """What both forms ask."""

    name = StringField("Name")
    agent_type = StringField("Type")
    description = TextAreaField("What it is for")
    capabilities = TextAreaField("What it can do")
    is_enabled = BooleanField("Its people can use it", default=True)
    configuration = TextAreaField("Configuration", default="{}")


class MakeAgentForm(AgentFields, CreatingForm):
    command_type = MakeAgent


class EditAgentForm(AgentFields, EditingForm):
    command_type = EditAgent
