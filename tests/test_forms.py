"""What forms of one class share, and what each has for itself."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.access_codes.forms import CodeForm
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


@pytest.mark.parametrize(("month", "hour"), [(1, 0), (9, 9), (12, 23)])
def test_a_time_is_told_as_it_was_to_the_second(month: int, hour: int) -> None:
    moment = datetime(2026, month, 7, hour, 5, 59, 999_999, tzinfo=UTC)
    day = f"2026-{month:02}-07"
    assert f'datetime="{day}T{hour:02}:05:59Z" title="{day} {hour:02}:05:59 UTC">7 ' in told(None, moment)
    assert f" 2026, {hour:02}:05 UTC<" in told(None, moment)
    assert f'datetime="{day}T{hour:02}:05:59Z"' in told("Asia/Tokyo", moment)
    tokyo = moment.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f'title="{tokyo.isoformat(" ")[:19]} JST">{tokyo.day} ' in told("Asia/Tokyo", moment)
