"""The portal behind nginx and Caddy, configured as docs/operations.md shows them: TLS, cookies, addresses, slow clients."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup

from portal.database.cluster import Instance
from portal.system import ROOT, acting_as, end, serving_account, spawn
from portal.testing import PASSWORD, the_cast, write_cast
from tests.conftest import PROXIES
from tests.test_serve import a_place, free_port, serving

pytestmark = pytest.mark.proxy
NAME = "portal.example.org"
BLOCKS = dict(re.findall(r"^```(nginx|caddy)\n(.*?)^```", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE | re.DOTALL))
THREADS = 2


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Visitor:
    """A client on the other side of the proxy, known by an address of its own on this machine; keeps cookies."""

    port: int
    certificate: Path
    address: str = "127.0.0.2"
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    def connect(self) -> ssl.SSLSocket:
        trusting = ssl.create_default_context(cafile=self.certificate)
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(self.address, 0))
        return trusting.wrap_socket(wire, server_hostname=NAME)

    def ask(self, method: str, path: str, data: dict[str, str] | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPSConnection(NAME, self.port)
        connection.sock = self.connect()
        sent = {"Host": f"{NAME}:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if data is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        connection.request(method, path, urlencode(data) if data is not None else None, sent)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read().decode())
        for cookie in answer.headers.get_all("Set-Cookie", []):
            self.cookies.load(cookie)
        connection.close()
        return answer

    def sign_in(self, **headers: str) -> Answer:
        form = BeautifulSoup(self.ask("GET", "/sign-in").text, "html.parser")
        token = str(form.select_one("main [name=csrf_token]")["value"])
        person = {"organization": "acme", "login": "admin@acme.example", "password": PASSWORD}
        return self.ask("POST", "/sign-in", {"csrf_token": token, **person}, **headers)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    yield from a_place()


@pytest.fixture(scope="module")
def certificate(place: Path) -> Path:
    """Signed by itself; the key lies beside it."""
    made, key = place / "certificate.pem", place / "key.pem"
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", *kind, *subject, "-keyout", key, "-out", made], check=True, capture_output=True)
    shutil.chown(key, serving_account().uid)
    return made


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def world(request: pytest.FixtureRequest, place: Path, certificate: Path) -> Iterator[SimpleNamespace]:
    """The running portal, the cast in it, and the proxy in front; whoever wants to wait for a slow client may wait for ever."""
    tls, plain, behind = free_port(), free_port(), free_port()
    instance = place / request.param
    settings = {"PUBLIC_URL": f"https://{NAME}:{tls}", "PROXY_COUNT": "1", "REQUEST_SECONDS": "300", "WEB_THREADS": str(THREADS)}
    with ExitStack() as stack:
        portal = stack.enter_context(serving(behind, instance, **settings))
        assert portal.line().startswith("Thanotopolis Portal is ready")
        write_cast(Instance(instance).urls()["owner"], the_cast())
        folder = place / f"{request.param}-proxy"
        stack.enter_context(PROXY[request.param](folder, certificate, tls, plain, behind))
        yield SimpleNamespace(name=request.param, visitor=lambda: Visitor(tls, certificate), tls=tls, plain=plain)


@contextmanager
def nginx(folder: Path, certificate: Path, tls: int, plain: int, behind: int) -> Iterator[None]:
    """With the page's configuration, but for ports and files."""
    site = re.sub(r"listen \[::\]:.*\n", "", BLOCKS["nginx"])
    changes = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443": f"listen 127.0.0.1:{tls}",
        f"https://{NAME}$request_uri": f"https://{NAME}:{tls}$request_uri",
        "127.0.0.1:8000": f"127.0.0.1:{behind}",
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate),
        f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(certificate.with_name("key.pem")),
    }
    kept = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    around = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {kept} {changed(site, changes)} }}"
    with proxy(folder, "nginx.conf", around, [PROXIES["nginx"], "-e", "stderr", "-c", folder / "nginx.conf"], tls):
        yield


@contextmanager
def caddy(folder: Path, certificate: Path, tls: int, plain: int, behind: int) -> Iterator[None]:
    """With the page's configuration, but for ports and files, and without the certificates that it would fetch."""
    own = f"    tls {certificate} {certificate.with_name('key.pem')}\n"
    changes = {f"{NAME} {{\n": f"https://{NAME}:{tls} {{\n{own}", "127.0.0.1:8000": f"127.0.0.1:{behind}"}
    around = "{\n    admin off\n    auto_https off\n}\n" + changed(BLOCKS["caddy"], changes)
    command = [PROXIES["caddy"], "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    with proxy(folder, "Caddyfile", around, command, tls):
        yield


PROXY: dict[str, Callable[..., object]] = {"nginx": nginx, "caddy": caddy}


def changed(text: str, changes: dict[str, str]) -> str:
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text


@contextmanager
def proxy(folder: Path, name: str, configuration: str, command: list[object], port: int) -> Iterator[None]:
    account = serving_account()
    folder.mkdir()
    shutil.chown(folder, account.uid, account.gid)
    with acting_as(account):
        (folder / name).write_text(configuration)
        log = (folder / "log").open("wb")
    with log:
        process = spawn([str(part) for part in command], account=account, env={**os.environ, "HOME": str(folder)}, output=log)
    try:
        wait_for(port, process, folder / "log")
        yield
    finally:
        end(process, (signal.SIGTERM, 10))


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def test_a_person_signs_in_with_a_cookie_that_only_https_carries(world: SimpleNamespace) -> None:
    visitor = world.visitor()
    page = visitor.ask("GET", "/sign-in")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    (cookie,) = page.headers.get_all("Set-Cookie")
    assert cookie.startswith("__Host-portal=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    entered = visitor.sign_in(Origin=f"https://{NAME}:{world.tls}")
    assert (entered.status, entered.headers["Location"]) == (303, "/")
    assert "CANARY-acme House" in visitor.ask("GET", "/").text


def test_a_form_of_another_website_is_refused(world: SimpleNamespace) -> None:
    assert world.visitor().sign_in(Origin="https://elsewhere.example.org").status == 403


def test_a_session_shows_the_address_of_the_visitor_whatever_the_visitor_says(world: SimpleNamespace) -> None:
    visitor = world.visitor()
    lies = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http", "X_Forwarded_Host": "elsewhere.example.org"}
    assert visitor.sign_in(**lies).status == 303
    shown = BeautifulSoup(visitor.ask("GET", "/account/sessions", **lies).text, "html.parser").select_one("#sessions").get_text(" ")
    assert "127.0.0.2" in shown
    assert "203.0.113.9" not in shown


def test_under_another_name_nothing_of_the_portal_is_shown(world: SimpleNamespace) -> None:
    answer = world.visitor().ask("GET", "/sign-in", Host="elsewhere.example.org")
    if world.name == "nginx":  # which passes every name on
        assert answer.status == 400
    else:
        assert answer.text == ""


def test_many_clients_that_send_slowly_hold_nobody_else(world: SimpleNamespace) -> None:
    visitor = world.visitor()
    head = f"POST /sign-in HTTP/1.1\r\nHost: {NAME}:{world.tls}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n"
    slow = [visitor.connect() for _ in range(4 * THREADS)]
    for client in slow:
        client.sendall(head.encode() + b"x" * 20_000)
    for _ in range(4 * THREADS):
        assert visitor.ask("GET", "/healthz").status == 200
    for client in slow:
        client.close()


@pytest.mark.parametrize("world", ["nginx"], indirect=True)
def test_plain_http_leads_to_https(world: SimpleNamespace) -> None:
    """Caddy does that by itself, together with the certificates that it fetches: both are off here."""
    connection = http.client.HTTPConnection("127.0.0.1", world.plain)
    connection.request("GET", "/register?country=IE", headers={"Host": NAME})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}:{world.tls}/register?country=IE")
