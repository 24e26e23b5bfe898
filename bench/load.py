"""A client of standard Python: so many people at once, each asking again when the answer is there, or in steps of time."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from statistics import median
from urllib.parse import urlencode

from bs4 import BeautifulSoup

HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
}
COMPRESSED = {"Accept-Encoding": "gzip, deflate, br, zstd"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Load:
    """What the answers of a while were: how long each took, and the bytes of the last."""

    seconds: float = 0
    waited: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def per_second(self) -> float:
        return len(self.waited) / self.seconds

    @property
    def median(self) -> float:
        return median(self.waited)


class Visitor:
    """A browser that keeps its cookies; one request after the other."""

    def __init__(self, port: int, cookies: dict[str, str] | None = None) -> None:
        self.port, self.cookies = port, cookies or {}

    def get(self, path: str) -> BeautifulSoup:
        return self._ask("GET", path, None)

    def post(self, path: str, form: dict[str, str]) -> BeautifulSoup:
        return self._ask("POST", path, urlencode(form))

    def request(self, path: str, form: dict[str, str] | None = None, *, compressed: bool = False) -> bytes:
        """The bytes of this visitor's request, for `load`."""
        body = urlencode(form).encode() if form is not None else b""
        headers = (
            HEADERS
            | (COMPRESSED if compressed else {})
            | self.cookie()
            | ({**FORM, "Content-Length": str(len(body))} if form is not None else {})
        )
        lines = [f"{'GET' if form is None else 'POST'} {path} HTTP/1.1", f"Host: localhost:{self.port}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + body

    def sign_in(self, organization: str, login: str, password: str) -> "Visitor":
        """Through the real form."""
        form = self.sign_in_form(organization)
        self.post("/sign-in", {**form, "login": login, "password": password})
        self.get("/")  # where a browser goes next: the first page makes the token of the forms
        return self

    def sign_in_form(self, organization: str) -> dict[str, str]:
        token = self.get("/sign-in").select_one("[name=csrf_token]")
        if token is None:
            raise RuntimeError("the sign-in page has no form")
        return {"csrf_token": str(token["value"]), "organization": organization}

    def _ask(self, method: str, path: str, body: str | None) -> BeautifulSoup:
        headers = HEADERS | self.cookie() | (FORM if body else {})
        connection = HTTPConnection("localhost", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path} was answered by {response.status}")
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return BeautifulSoup(text, "html.parser")

    def cookie(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}


async def load(
    port: int, requests: Iterator[bytes], *, at_once: int, seconds: float, every: float = 0, status: int = 200, most: int | None = None
) -> Load:
    """Send the requests for so many seconds, or `most` of them; with `every` nobody asks again before that many seconds have passed.

    Raises RuntimeError for an answer of another status: what is refused must not count as fast.
    """
    told, numbers = Load(), count()
    began = time.perf_counter()

    async def person() -> None:
        link = Link(port)
        while (asked := time.perf_counter()) - began < seconds and (most is None or next(numbers) < most):
            answer, told.size = await link.ask(next(requests))
            told.waited.append(time.perf_counter() - asked)
            if answer != status:
                raise RuntimeError(f"an answer of {answer} instead of {status}")
            if every:
                await asyncio.sleep(max(0.0, every - (time.perf_counter() - asked)))
        link.close()

    await asyncio.gather(*(person() for _ in range(at_once)))
    told.seconds = time.perf_counter() - began
    return told


class Link:
    """A connection that is kept between requests as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, int]:
        """The status of the answer and the bytes of its body."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(request)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        size = len(await reader.readexactly(int(headers["content-length"])))
        if headers.get("connection") == "close":
            self.close()
        return int(head.split(" ", 2)[1]), size

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
            self.streams = None


def always(request: bytes) -> Iterator[bytes]:
    while True:
        yield request
