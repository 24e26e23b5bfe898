"""Browser and Page: speaks endpoints, answers BeautifulSoup, and inspects every page it sees."""

from typing import Any
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from flask import Flask, url_for
from werkzeug.test import TestResponse

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
VERBS = ("get", "post", "put", "patch", "delete")


class Page:
    """One answer, read as a person would: `page.select_one(...)`, `page.text`, `page.fields`."""

    def __init__(self, app: Flask, response: TestResponse) -> None:
        self.app, self.response, self.status = app, response, response.status_code
        self.soup = BeautifulSoup(response.get_data(as_text=True), "html.parser")

    def select(self, css: str) -> list[Tag]:
        return list(self.soup.select(css))

    def select_one(self, css: str) -> Tag:
        found = self.soup.select_one(css)
        assert found is not None, f"nothing matches {css} in:\n{self.text[:800]}"
        return found

    @property
    def text(self) -> str:
        return self.soup.get_text(" ", strip=True)

    @property
    def heading(self) -> str:
        return self.select_one("h1").get_text(" ", strip=True)

    @property
    def location(self) -> str:
        return self.response.headers.get("HX-Redirect") or self.response.headers.get("Location", "")

    def fault(self, field: str) -> str:
        """The sentence that stands beside a field; '' when there is none."""
        control = self.soup.select_one(f'[name="{field}"]')
        assert control is not None, f"no field {field}"
        told = [self.soup.find(id=name) for name in str(control.get("aria-describedby") or "").split()]
        faults = [fault for one in told if one for fault in ([one] if "refused" in (one.get("class") or []) else one.select(".refused"))]
        return " ".join(fault.get_text(" ", strip=True) for fault in faults)

    def form(self, css: str = "main form[method=post]") -> dict[str, str]:
        """What the form would send now."""
        return values_of(self.select_one(css))

    def inspect(self) -> None:
        """What must hold for every page and fragment."""
        ids = [tag["id"] for tag in self.soup.select("[id]")]
        assert len(ids) == len(set(ids)), f"ids twice: {sorted(i for i in ids if ids.count(i) > 1)}"
        for form in self.soup.select("form"):
            assert form.get("action"), f"a form without action: {form}"
            if str(form.get("method", "get")).lower() == "post":
                assert form.select_one("[name=csrf_token]"), f"a form without token: {form.get('action')}"
        for control in self.soup.select("input:not([type=hidden]), select, textarea"):
            labelled = control.get("aria-label") or control.get("aria-labelledby") or control.find_parent("label")
            labelled = labelled or self.soup.select_one(f'label[for="{control.get("id")}"]')
            assert labelled, f"a control without label: {control}"
        for verb in VERBS:
            for tag in self.soup.select(f"[hx-{verb}]"):
                self.check_door(str(tag[f"hx-{verb}"]), verb.upper())
        assert not self.soup.select("[style], [onclick], style, script:not([src])"), "inline style or script"
        if self.soup.html:
            assert len(self.soup.select("h1")) == 1, f"{len(self.soup.select('h1'))} h1"
            assert self.select_one("title").get_text(strip=True), "no title"
            assert self.soup.html.get("lang"), "no language"

    def check_door(self, url: str, method: str) -> None:
        self.app.url_map.bind("localhost").match(urlsplit(url).path, method)


class Browser:
    """A browser without script, or with htmx's headers where `htmx=True`."""

    def __init__(self, app: Flask, address: str = "127.0.0.1") -> None:
        self.app, self.client, self.address = app, app.test_client(), address
        self.page: Page | None = None

    def url(self, endpoint: str, **values: Any) -> str:
        if endpoint.startswith("/"):
            return endpoint
        with self.app.test_request_context():
            return url_for(endpoint, **values)

    def open(
        self, method: str, endpoint: str, *, expect: int, htmx: bool = False, data: Any = None, headers: Any = None, **values: Any
    ) -> Page:
        sent = {**(HTMX if htmx else {}), **(headers or {})}
        environ = {"REMOTE_ADDR": self.address}
        response = self.client.open(self.url(endpoint, **values), method=method, data=data, headers=sent, environ_overrides=environ)
        page = Page(self.app, response)
        assert page.status == expect, f"{method} {endpoint}: {page.status} instead of {expect}\n{page.text[:1500]}"
        if response.mimetype == "text/html" and response.status_code not in (302, 303):
            page.inspect()
        self.page = page
        return page

    def get(self, endpoint: str, *, expect: int = 200, **rest: Any) -> Page:
        return self.open("GET", endpoint, expect=expect, **rest)

    def post(self, endpoint: str, data: dict[str, Any] | None = None, *, expect: int = 303, token: bool = True, **rest: Any) -> Page:
        """Post with the token of this browser's session."""
        sent = dict(data or {})
        if token and "csrf_token" not in sent:
            sent["csrf_token"] = self.token()
        return self.open("POST", endpoint, expect=expect, data=sent, **rest)

    def token(self) -> str:
        page = Page(self.app, self.client.get("/sign-in?organization=", environ_overrides={"REMOTE_ADDR": self.address}))
        return str(page.select_one("[name=csrf_token]")["value"])

    def follow(self) -> Page:
        assert self.page is not None
        return self.get(self.page.location)

    def sign_in(self, person: Any, *, expect: int = 303, password: str | None = None) -> "Browser":
        """Through the real form."""
        self.get("auth.sign_in", organization=person.subdomain)
        assert self.page is not None
        data = {**self.page.form("form[action*=sign-in]"), "login": person.email, "password": password or person.password}
        self.open("POST", "auth.sign_in", expect=expect, data=data)
        return self


def values_of(form: Tag) -> dict[str, str]:
    values: dict[str, str] = {}
    for control in form.select("input[name], select[name], textarea[name]"):
        name, kind = str(control["name"]), control.get("type", "text")
        if control.name == "select":
            chosen = control.select_one("option[selected]") or control.select_one("option")
            values[name] = str(chosen.get("value", chosen.get_text())) if chosen else ""
        elif control.name == "textarea":
            text = control.get_text()
            values[name] = text[1:] if text.startswith("\n") else text.removeprefix("\r\n")
        elif kind not in ("submit", "button") and (kind not in ("checkbox", "radio") or control.has_attr("checked")):
            values[name] = str(control.get("value", ""))
    return values
