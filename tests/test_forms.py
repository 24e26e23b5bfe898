"""What forms of one class share, and what each has for itself."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from markupsafe import Markup
from wtforms import Form, IntegerField, PasswordField, SelectChoice, SelectField, StringField, TextAreaField

from portal.access_codes.forms import CodeForm
from portal.controls import field
from portal.invitations.forms import InviteForm
from portal.organizations.forms import RegistrationForm, SettingsForm
from portal.words import told


def test_what_is_changed_in_one_form_is_not_changed_in_the_next(app: Flask) -> None:
    with app.test_request_context("/"):
        first = SettingsForm(data={"name": "Acme", "address": {"country": "IE"}})
        first.address.form.show_parts()
        first.name.label.text = "Another"
        first.blame(["name"], "No.")
        first.blame(["address", "city"], "No.")
        second = SettingsForm(data={"address": {"country": "US"}})
        assert first.address.form["postal_code"].label.text == "Eircode"
        assert (second.name.label.text, second.address.form["postal_code"].label.text) == ("Name of your organization", "Postal code")
        assert (first.name.data, second.name.data, second.errors) == ("Acme", None, {})
        assert second.name._form is second
        assert second.address.form.city._form is second.address.form
        assert second.address.form["city"].name == "address-city"

        invite = InviteForm()
        invite.role.choices = [("user", "User")]
        assert [choice[0] for choice in invite.role.iter_choices()] == ["user"]
        assert list(InviteForm().role.iter_choices()) == []


def test_what_is_worked_out_for_each_form_still_is(app: Flask) -> None:
    with app.test_request_context("/"):
        assert CodeForm().nonce.data != CodeForm().nonce.data
        assert "csrf_token" not in CodeForm().data
    with app.test_request_context("/", method="POST", data={"label": "For guests", "nonce": "n"}):
        assert (CodeForm().label.data, CodeForm().nonce.data, CodeForm().status) == ("For guests", "n", 422)
        assert (CodeForm(formdata=None).label.data, RegistrationForm(data={"name": "Acme"}).name.data) == (None, None)
    with app.test_request_context("/", method="POST", json={"label": "For guests"}):
        assert CodeForm().label.data is None


class SpecimenForm(Form):
    text = StringField("A <label>")
    number = IntegerField("How many")
    secret = PasswordField("Password")
    long = TextAreaField("Said")
    choice = SelectField("One", choices=[SelectChoice("a", "The <first>"), SelectChoice("b", "The second")])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("turn", ["first", "second"])  # the second time the pattern is there, and nothing of the first stands in it
def test_a_field_shows_its_own_label_help_value_fault_and_what_stands_under_it(app: Flask, turn: str, half: bool) -> None:
    with app.test_request_context("/"):
        form = SpecimenForm(data={"text": f'<{turn}>"', "number": 7, "secret": turn, "long": f"\n{turn} & more", "choice": "b"})
        form.text.errors, form.choice.errors = [f"Not <{turn}>.", "Twice."], ["Choose."]
        drawn = {
            one.name: BeautifulSoup(
                field(one, help=f"Help & <{turn}>", half=half, described_by="beside", attributes={"data-x": f'"{turn}', "required": None},
                      caller=lambda: Markup("<i>{}</i>").format(turn)),
                "html.parser",
            )
            for one in form
        }  # fmt: skip
    for name, html in drawn.items():
        control = html.select_one(f"#{name}")
        assert html.select_one(f"label[for={name}]").get_text() == {
            "text": "A <label>", "number": "How many", "secret": "Password", "long": "Said", "choice": "One"
        }[name]  # fmt: skip
        assert html.select_one(f"#{name}-help").get_text() == f"Help & <{turn}>"
        assert html.select_one("i").get_text() == turn
        assert (control["name"], control["data-x"], control.get("required")) == (name, f'"{turn}', None)
        is_refused = name in ("text", "choice")
        assert control["aria-describedby"] == f"{name}-help beside{f' {name}-error' if is_refused else ''}"
        assert control.get("aria-invalid") == ("true" if is_refused else None)
        assert [fault.get_text() for fault in html.select(".refused")] == {"text": [f"Not <{turn}>. Twice."], "choice": ["Choose."]}.get(
            name, []
        )
        assert bool(html.select(".field-half")) == half
    assert (drawn["text"].input["value"], drawn["number"].input["value"]) == (f'<{turn}>"', "7")
    assert (drawn["secret"].input["type"], drawn["secret"].input.get("value")) == ("password", None)
    assert str(drawn["long"].textarea.string) == f"\n\n{turn} & more"  # a browser leaves out the first line break
    chosen = [(option["value"], option.get_text(), option.has_attr("selected")) for option in drawn["choice"].select("option")]
    assert chosen == [("a", "The <first>", False), ("b", "The second", True)]


def test_a_field_without_help_has_no_place_for_it(app: Flask) -> None:
    with app.test_request_context("/"):
        html = BeautifulSoup(field(SpecimenForm().text, optional=True), "html.parser")
    assert html.select(".form-text") == []
    assert html.select_one("label").get_text() == "A <label> optional"
    assert {"aria-describedby", "required", "aria-invalid"} & set(html.input.attrs) == set()


@pytest.mark.parametrize(("month", "hour"), [(1, 0), (9, 9), (12, 23)])
def test_a_time_is_told_as_it_was_to_the_second(month: int, hour: int) -> None:
    moment = datetime(2026, month, 7, hour, 5, 59, 999_999, tzinfo=UTC)
    day = f"2026-{month:02}-07"
    assert f'datetime="{day}T{hour:02}:05:59Z" title="{day} {hour:02}:05:59 UTC">7 ' in told(None, moment)
    assert f" 2026, {hour:02}:05 UTC<" in told(None, moment)
    assert f'datetime="{day}T{hour:02}:05:59Z"' in told("Asia/Tokyo", moment)
    tokyo = moment.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f'title="{tokyo.isoformat(" ")[:19]} JST">{tokyo.day} ' in told("Asia/Tokyo", moment)
