"""Mail: put into the outbox with what causes it, sent once by one of the workers, and never said to be sent before it is."""

import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import trustme
from bs4 import BeautifulSoup
from flask import Flask
from psycopg2.extensions import set_wait_callback

from portal import create_app
from portal.config import MailServer, SettingsRefused, load_settings
from portal.database import connect, tenancy
from portal.extensions import db, transaction
from portal.mail import outbox, servers
from portal.mail import services as mail
from portal.mail.servers import Unreachable, post_to
from portal.worker.cleanup import clean_up
from portal.worker.sending import Sending
from portal.worker.stopping import Stop, Stopping
from tests.mailserver import Manners, mail_server
from tests.steps import SENDER, until, workers

HOUR = timedelta(hours=1)


def queue(app: Flask, cast: SimpleNamespace, to: str = "mara@example.org", *, tenant: Any = None, **more: Any) -> UUID:
    """A mail in the outbox, put there as the portal does it."""
    tenant = tenant or cast.acme
    with app.app_context(), tenancy.bound(tenant.id), transaction():
        return queue_within(tenant, to, **more)


def queue_within(tenant: Any, to: str = "mara@example.org", subject: str = "Wélcome to it", expires_at: datetime | None = None) -> UUID:
    person = SimpleNamespace(first_name="Mara", username="mara")
    about = {"organization": tenant, "person": person, "sign_in_url": "http://localhost:8000/sign-in"}
    return mail.queue("welcome", tenant_id=tenant.id, to=to, subject=subject, expires_at=expires_at, **about).id


def queue_many(owner: Any, cast: SimpleNamespace, number: int) -> None:
    owner.execute(
        """INSERT INTO outbox (tenant_id, id, message_id, recipient, subject, body_text, expires_at)
           SELECT %s, gen_random_uuid(), '<' || n || '@portal.example>', 'user' || n || '@example.org', 'Many', 'One of many.',
                  now() + interval '1 day' FROM generate_series(1, %s) AS n""",
        [str(cast.acme.id), number],
    )


@pytest.fixture
def worker(cluster: Any, database: str) -> Iterator[Any]:
    """A connection as portal_worker, as the worker's loop has one."""
    with closing(connect(cluster.urls(database)["worker"])) as connection:
        connection.autocommit = True
        yield connection


def sending(url: str, stop: Stop | None = None) -> Sending:
    return Sending(MailServer.of(url), SENDER, stop or Stop())


def row(owner: Any, mail_id: UUID) -> dict[str, Any]:
    owner.execute("SELECT to_jsonb(outbox) FROM outbox WHERE id = %s", [str(mail_id)])
    return owner.fetchone()[0]


def state(app: Flask, cast: SimpleNamespace, mail_id: UUID) -> str:
    with app.app_context(), tenancy.bound(cast.acme.id):
        return str(mail.states(cast.acme.id, [mail_id])[mail_id])


def come_due(owner: Any) -> None:
    """As if all pauses and leases were over."""
    owner.execute("UPDATE outbox SET send_after = now() WHERE sent_at IS NULL AND failed_at IS NULL")


@pytest.fixture
def configured(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Path) -> Iterator[Flask]:
    """The application of a portal that has a mail server."""
    app = create_app(cluster.settings(database, tmp_path, mail_url="smtp://localhost", mail_from=SENDER))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


# Settings


@pytest.mark.parametrize(
    ("url", "means"),
    {
        "smtps://mail.example.org": ("smtps", "mail.example.org", 465, False, "", ""),
        "smtps://a%40b:p%3A%2F%25@mail.example.org:4650": ("smtps", "mail.example.org", 4650, False, "a@b", "p:/%"),
        "smtp://mail.example.org": ("smtp", "mail.example.org", 587, True, "", ""),
        "smtp://user:seven%20herons@mail.example.org:2525/": ("smtp", "mail.example.org", 2525, True, "user", "seven herons"),
        "smtp://relay.example.org?starttls=no": ("smtp", "relay.example.org", 25, False, "", ""),
        "smtp://localhost": ("smtp", "localhost", 25, False, "", ""),
        "smtp://[::1]:2525": ("smtp", "::1", 2525, False, "", ""),
        "smtp://127.0.0.1?starttls=yes": ("smtp", "127.0.0.1", 587, True, "", ""),
    }.items(),
)
def test_an_address_of_a_mail_server_means_one_thing(url: str, means: tuple[Any, ...]) -> None:
    found = load_settings(env_file=None, mail_url=url, mail_from=SENDER).mail_server
    assert (found.scheme, found.host, found.port, found.starttls, found.user, found.password) == means
    assert not found.password or found.password not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("url", "words"),
    {
        "http://mail.example.org": "must begin with smtp://",
        "mail.example.org:25": "must begin with smtp://",
        "smtp+tls://mail.example.org": "must begin with smtp://",
        "smtp://": "must be an address like",
        "smtp://mail.example.org/inbox": "must be an address like",
        "smtp://user@mail.example.org": "must name a user and a password, or neither",
        "smtp://user:very/secret@mail.example.org": "cannot be read",
        "smtp://user:secr%C3%A9t@mail.example.org": "without letters beyond ASCII",
        "smtp://mail.example.org:99999": "cannot be read",
        "smtps://mail.example.org?starttls=no": "must have nothing after the port",
        "smtp://mail.example.org?tls=no": "must have nothing after the port",
        "file://elsewhere/mails": "must name a folder of this machine",
        "file:///": "must name a folder of this machine",
    }.items(),
)
def test_an_address_that_cannot_be_is_refused_in_words_without_its_password(url: str, words: str) -> None:
    with pytest.raises(SettingsRefused, match=words) as refused:
        load_settings(env_file=None, mail_url=url, mail_from=SENDER)
    assert str(refused.value).startswith("MAIL_URL: ")
    assert "secret" not in str(refused.value)


def test_a_mail_server_needs_a_sender_that_every_server_takes() -> None:
    with pytest.raises(SettingsRefused, match="MAIL_FROM is missing beside MAIL_URL"):
        load_settings(env_file=None, mail_url="smtp://localhost")
    for sender in ("nobody", "pörtal@example.org", "Portal <portal@example.org>", "a@b\r\nBcc: c@d.org"):
        with pytest.raises(SettingsRefused, match="MAIL_FROM: must be an e-mail address"):
            load_settings(env_file=None, mail_url="smtp://localhost", mail_from=sender)
    assert load_settings(env_file=None, mail_from="portal@bücher.example").mail_from == "portal@xn--bcher-kva.example"
    assert load_settings(env_file=None).mail_server is None


# One mail


def test_a_mail_arrives_as_it_was_queued(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    owner.execute("UPDATE tenants SET name = 'Café “Zür Ruhe”, <Ltd>; Ω' WHERE subdomain = 'acme'")
    mail_id = queue(app, cast, "mara@bücher.example")
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    ((sender, recipient, _),), (message,) = mailbox.taken, mailbox.messages
    assert (sender, recipient) == (SENDER, "mara@xn--bcher-kva.example")
    assert message["From"].addresses[0].display_name == "Café “Zür Ruhe”, <Ltd>; Ω"
    assert message["From"].addresses[0].addr_spec == SENDER
    assert (message["To"], message["Subject"]) == ("mara@xn--bcher-kva.example", "Wélcome to it")
    assert message["Message-ID"] == row(owner, mail_id)["message_id"] == f"<{mail_id}@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert abs(message["Date"].datetime - datetime.now(UTC)) < HOUR
    text, html = message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()
    assert "Hello Mara," in text
    assert '<a href="http://localhost:8000/sign-in">' in html
    assert all(len(line) < 999 and line.isascii() for line in mailbox.taken[0][2].split(b"\r\n"))


def test_once_sent_its_text_is_gone_and_the_rest_is_known(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    mail_id = queue(app, cast)
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    after = row(owner, mail_id)
    assert (after["body_text"], after["body_html"], after["last_error"], after["attempts"]) == (None, None, None, 1)
    assert (after["recipient"], after["failed_at"]) == ("mara@example.org", None)
    assert state(app, cast, mail_id).startswith("sent at 20")


def test_a_line_break_in_a_subject_is_no_header(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    queue(app, cast, subject="Hello\r\nBcc: thief@example.org")
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert mailbox.messages[0]["Subject"] == "Hello Bcc: thief@example.org"
    assert mailbox.messages[0]["Bcc"] is None


@pytest.mark.parametrize("recipient", ["nobody", "a@b@c", "m@example.org\r\nRCPT TO:<thief@example.org>", "", "m@-.example"])
def test_what_can_be_no_mail_is_given_up_and_holds_up_no_other(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, recipient: str
) -> None:
    bad, good = queue(configured, cast, expires_at=datetime.now(UTC) + HOUR), queue(configured, cast)
    owner.execute("UPDATE outbox SET recipient = %s WHERE id = %s", [recipient, str(bad)])
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert mailbox.message_ids == [f"<{good}@localhost>"]
    assert state(configured, cast, bad).startswith("failed: it cannot be made into a mail")
    assert row(owner, bad)["body_text"] is None


def test_an_address_beyond_ascii_goes_to_servers_that_know_it_and_is_given_up_at_others(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(configured, cast, "dörte@bücher.example")
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert mailbox.taken[0][1] == "dörte@xn--bcher-kva.example"
    assert mailbox.messages[0]["To"] == "dörte@xn--bcher-kva.example"
    refused = queue(configured, cast, "dörte@bücher.example")
    with mail_server(enable_SMTPUTF8=False) as mailbox:
        sending(mailbox.url).act(worker)
    assert "no addresses with letters beyond ASCII" in state(configured, cast, refused)


# What a server may say


PERMANENT = {"RCPT": "550 5.1.1 Nobody of that name here", "DATA": "554 5.6.0 Nothing for you", "content": "552 5.3.4 Too large for us"}
PASSING = {
    "MAIL": "451 4.3.0 Come back later",
    "RCPT": "450 4.2.1 Greylisted",
    "DATA": "421 4.3.2 Closing down",
    "content": "452 4.3.1 The disk is full",
}


@pytest.mark.parametrize("stage", PERMANENT)
def test_who_refuses_a_mail_for_good_is_believed_at_once(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, stage: str
) -> None:
    mail_id = queue(configured, cast)
    with mail_server(Manners(says={stage: PERMANENT[stage]})) as mailbox:
        sending(mailbox.url).act(worker)
        come_due(owner)
        sending(mailbox.url).act(worker)
    assert mailbox.taken == []
    assert state(configured, cast, mail_id) == f"failed: {PERMANENT[stage]}"
    after = row(owner, mail_id)
    assert (after["attempts"], after["body_text"], after["body_html"], after["sent_at"]) == (1, None, None, None)


@pytest.mark.parametrize("stage", PASSING)
def test_who_cannot_take_it_now_is_asked_again(configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, stage: str) -> None:
    mail_id, manners = queue(configured, cast), Manners(says={stage: PASSING[stage]})
    with mail_server(manners) as mailbox:
        sending(mailbox.url).act(worker)
        assert mailbox.taken == []
        assert state(configured, cast, mail_id) == f"queued, tried once: {PASSING[stage]}"
        manners.says.clear()
        sending(mailbox.url).act(worker)
        assert mailbox.taken == [], "not before its pause is over"
        come_due(owner)
        sending(mailbox.url).act(worker)
    assert mailbox.message_ids == [f"<{mail_id}@localhost>"]
    assert state(configured, cast, mail_id).startswith("sent at")


def test_a_sender_that_is_refused_is_the_settings_fault_and_not_the_mails(configured: Flask, cast: SimpleNamespace, worker: Any) -> None:
    mail_id = queue(configured, cast)
    with mail_server(Manners(says={"MAIL": "550 5.7.1 Not from here"})) as mailbox:
        sending(mailbox.url).act(worker)
    assert state(configured, cast, mail_id) == "queued, tried once: 550 5.7.1 Not from here"


def test_one_who_is_refused_holds_up_no_other_and_all_go_over_one_connection(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    queue_many(owner, cast, 20)
    with mail_server(Manners(refuses_recipients={"user3@example.org", "user20@example.org"})) as mailbox:
        sending(mailbox.url).act(worker)
    assert len(mailbox.taken) == 18
    assert mailbox.connections == 1
    owner.execute("SELECT recipient, last_error FROM outbox WHERE failed_at IS NOT NULL ORDER BY recipient")
    assert owner.fetchall() == [(f"user{n}@example.org", "550 5.1.1 Nobody of that name here") for n in (20, 3)]


def test_a_line_is_ended_after_a_while_and_begun_anew(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(servers, "ENOUGH", 4)
    queue_many(owner, cast, 10)
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert (len(mailbox.taken), mailbox.connections) == (10, 3)


def nobody_listens() -> str:
    with mail_server() as mailbox:
        return mailbox.url


def test_a_server_that_is_not_there_is_left_alone_for_a_while_and_the_mail_waits(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, capsys: Any
) -> None:
    mails = [queue(configured, cast, expires_at=datetime.now(UTC) + HOUR * (n + 1)) for n in range(3)]
    trying = sending(nobody_listens())
    trying.act(worker)
    trying.act(worker)
    assert [row(owner, mail_id)["attempts"] for mail_id in mails] == [1, 0, 0], "one mail has met it; the others are not counted down"
    assert state(configured, cast, mails[0]) == "queued, tried once: the mail server cannot be used: Connection refused"
    assert state(configured, cast, mails[1]) == "queued"
    assert "No mail goes to the mail server 127.0.0.1:" in capsys.readouterr().err
    with mail_server() as mailbox:
        come_due(owner)
        trying.post, trying.not_before = post_to(MailServer.of(mailbox.url), SENDER), 0.0
        trying.act(worker)
    assert len(mailbox.taken) == 3


@pytest.mark.parametrize("greeting", ["554 5.3.2 No service here", "421 4.3.2 Too many of you"])
def test_a_server_that_takes_nobody_in_is_a_server_that_is_not_there(
    configured: Flask, cast: SimpleNamespace, worker: Any, greeting: str
) -> None:
    mail_id = queue(configured, cast)
    with mail_server(Manners(says={"greeting": greeting})) as mailbox:
        sending(mailbox.url).act(worker)
    assert greeting in state(configured, cast, mail_id)
    assert state(configured, cast, mail_id).startswith("queued")


# Pauses and ends


def test_the_pauses_grow_and_after_a_day_it_is_given_up_with_the_reason(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    mail_id, pauses = queue(configured, cast), []
    with mail_server(Manners(says={"RCPT": "450 4.2.1 Mailbox busy"})) as mailbox:
        while not row(owner, mail_id)["failed_at"]:
            come_due(owner)
            sending(mailbox.url).act(worker)
            owner.execute("SELECT round(extract(epoch FROM send_after - now()) / 60) FROM outbox WHERE failed_at IS NULL")
            pauses += [int(minutes) for (minutes,) in owner.fetchall()]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [1, 5, 15]
    assert 23 < sum(pauses) / 60 <= 24
    assert state(configured, cast, mail_id) == f"failed: 450 4.2.1 Mailbox busy (tried {len(pauses) + 1} times)"
    assert row(owner, mail_id)["body_text"] is None


def test_no_pause_goes_beyond_what_a_mail_is_good_for(configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    mail_id = queue(configured, cast, expires_at=datetime.now(UTC) + timedelta(seconds=30))
    with mail_server(Manners(says={"RCPT": "450 4.2.1 Mailbox busy"})) as mailbox:
        sending(mailbox.url).act(worker)
    after = row(owner, mail_id)
    assert after["send_after"] == after["expires_at"]


def test_old_mail_is_not_sent_when_a_server_is_configured_at_last(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    old = [queue(configured, cast), queue(configured, cast)]
    owner.execute("UPDATE outbox SET created_at = now() - interval '90 days', expires_at = now() - interval '83 days'")
    owner.execute("UPDATE outbox SET last_error = '450 4.2.1 Mailbox busy' WHERE id = %s", [str(old[1])])
    fresh = queue(configured, cast)
    states = ["failed: it was not sent while it was of use", "failed: 450 4.2.1 Mailbox busy"]
    assert [state(configured, cast, mail_id) for mail_id in old] == states
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert mailbox.message_ids == [f"<{fresh}@localhost>"]
    clean_up(worker)
    assert [state(configured, cast, mail_id) for mail_id in old] == states
    assert [row(owner, mail_id)["body_text"] for mail_id in old] == [None, None]


def test_what_ends_sooner_goes_first(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    queue_many(owner, cast, 5)
    link = queue(app, cast, "soon@example.org", expires_at=datetime.now(UTC) + HOUR)
    with mail_server() as mailbox:
        sending(mailbox.url).act(worker)
    assert mailbox.message_ids[0] == f"<{link}@localhost>"
    assert len(mailbox.taken) == 6


def test_mails_are_forgotten_a_month_after_their_end(configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    sent, recent, waiting = (queue(configured, cast) for _ in range(3))
    over = "UPDATE outbox SET {} = now() - interval '{} days', body_text = NULL, body_html = NULL WHERE id = %s"
    owner.execute(over.format("sent_at", 31), [str(sent)])
    owner.execute(over.format("failed_at", 29), [str(recent)])
    clean_up(worker)
    owner.execute("SELECT id::text FROM outbox")
    assert {found for (found,) in owner.fetchall()} == {str(recent), str(waiting)}
    assert state(configured, cast, sent) == "no longer known: its end was more than 30 days ago"


def test_without_a_mail_server_a_mail_is_said_to_be_not_sent(app: Flask, configured: Flask, cast: SimpleNamespace) -> None:
    mail_id = queue(app, cast)
    assert state(app, cast, mail_id) == "not sent: no mail server is configured"
    assert state(configured, cast, mail_id) == "queued"
    with app.app_context():
        assert not mail.is_configured()
    with configured.app_context():
        assert mail.is_configured()


def test_a_neighbours_mail_is_a_mail_that_is_not_there(app: Flask, cast: SimpleNamespace) -> None:
    mail_id = queue(app, cast, tenant=cast.globex)
    assert state(app, cast, mail_id).startswith("no longer known")


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (mail.MailState("wait", "queued"), "queued"),
        (mail.MailState("on", "sent at", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)), "sent at 5 Jan 2026, 09:30 UTC"),
        (mail.MailState("refused", "failed: 550 <b>: no"), "failed 550 <b>: no"),
    ],
)
def test_screens_show_a_state_in_its_words(app: Flask, shown: mail.MailState, words: str) -> None:
    with app.test_request_context("/"):
        template = app.jinja_env.from_string('{% from "components/mail.html" import mail_state %}{{ mail_state(shown) }}')
        soup = BeautifulSoup(template.render(shown=shown), "html.parser")
    assert soup.get_text(" ", strip=True) == words
    assert f"mark-{shown.kind}" in soup.select_one(".mark")["class"]


def test_whoever_operates_the_portal_tries_the_mail_server_out(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Path) -> None:
    def said(app: Flask, address: str = "mara@example.org") -> tuple[int, str]:
        done = app.test_cli_runner().invoke(args=["send-test-mail", address])
        return done.exit_code, done.output.strip()

    def portal_with(**settings: str) -> Flask:
        return create_app(cluster.settings(database, tmp_path, **settings))

    assert said(portal_with()) == (1, "No mail server is configured: MAIL_URL names one.")
    manners = Manners()
    with mail_server(manners) as mailbox:
        app = portal_with(mail_url=mailbox.url, mail_from=SENDER)
        status, words = said(app)
        assert (status, words.split(":")[0]) == (0, "For mara@example.org it was taken by the mail server 127.0.0.1")
        assert mailbox.messages[0]["From"].addresses[0].display_name == "Thanotopolis Portal"
        assert "http://localhost:8000" in mailbox.messages[0].get_body(("plain",)).get_content()
        assert said(app, "nobody")[0] == 1
        manners.says["RCPT"] = "550 5.1.1 Nobody of that name here"
        assert said(app) == (1, "550 5.1.1 Nobody of that name here")
    assert said(app)[1].endswith("cannot be used: Connection refused")


# Slow, dying and hostile servers


def statements_under_way(owner: Any, database: str) -> list[str]:
    owner.execute("SELECT state FROM pg_stat_activity WHERE usename = 'portal_worker' AND datname = %s", [database])
    return [state for (state,) in owner.fetchall()]


def test_while_a_slow_server_looks_at_a_mail_nothing_is_held_and_nothing_is_said_to_be_sent(
    configured: Flask, cast: SimpleNamespace, cluster: Any, database: str, worker: Any
) -> None:
    mail_id, manners = queue(configured, cast), Manners(hangs=True)
    with mail_server(manners) as mailbox, closing(connect(cluster.superuser_url(database))) as eyes, eyes.cursor() as seen:
        thread = threading.Thread(target=sending(mailbox.url).act, args=[worker])
        thread.start()
        assert mailbox.begun.wait(10)
        assert statements_under_way(seen, database) == ["idle"], "no transaction is open"
        assert state(configured, cast, mail_id) == "queued"
        other = queue(configured, cast)
        manners.hangs = False
        thread.join(10)
    assert {state(configured, cast, mail_id)[:7], state(configured, cast, other)[:7]} == {"sent at"}


@pytest.mark.parametrize("manner", ["hangs", "drips"])
def test_however_slowly_a_server_speaks_it_comes_to_an_end(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    monkeypatch.setattr(servers, "TALK", 0.5)
    mail_id = queue(configured, cast)
    with mail_server(Manners(**{manner: True})) as mailbox:
        sending(mailbox.url).act(worker)
    assert state(configured, cast, mail_id) == "queued, tried once: it did not come to an end within 0.5 seconds"


def test_a_server_that_never_greets_is_given_up_soon(
    configured: Flask, cast: SimpleNamespace, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECT", 0.3)
    mail_id = queue(configured, cast)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sending(f"smtp://127.0.0.1:{mute.getsockname()[1]}").act(worker)
    assert state(configured, cast, mail_id).endswith("cannot be used: it did not answer in time")


def test_a_server_that_dies_with_a_mail_gets_it_again_with_the_same_message_id(
    configured: Flask, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    mail_id, manners = queue(configured, cast), Manners(dies=True)
    with mail_server(manners) as mailbox:
        sending(mailbox.url).act(worker)
        assert state(configured, cast, mail_id) == "queued, tried once: it ended the connection"
        manners.dies = False
        come_due(owner)
        sending(mailbox.url).act(worker)
    assert mailbox.message_ids == [f"<{mail_id}@localhost>"] * 2
    assert mailbox.messages[0]["Date"] == mailbox.messages[1]["Date"]
    assert state(configured, cast, mail_id).startswith("sent at")


def test_a_mail_that_was_sent_while_the_database_went_away_is_not_sent_again(
    app: Flask, cast: SimpleNamespace, owner: Any, cluster: Any, database: str, worker: Any
) -> None:
    queue(app, cast)
    manners = Manners(hangs=True)
    with mail_server(manners) as mailbox:
        sender = sending(mailbox.url)
        caught: list[BaseException] = []

        def send() -> None:
            try:
                sender.act(worker)
            except psycopg2.Error as error:
                caught.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        assert mailbox.begun.wait(10)
        cluster.administer(f"SELECT pg_terminate_backend({worker.info.backend_pid}, 5000)")
        manners.hangs = False
        thread.join(10)
        assert len(caught) == 1
        come_due(owner)
        with closing(connect(cluster.urls(database)["worker"])) as again:
            again.autocommit = True
            sender.act(again)
    assert len(mailbox.taken) == 1
    owner.execute("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL")
    assert owner.fetchone() == (1,)


# Encryption and passwords


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def context_for(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


ELSEWHERE = "127.0.0.2"  # no name of this machine to the portal, so that the rule for other machines holds


def with_password(url: str, user: str = "portal", password: str = "seven%20herons%2F%40dawn") -> str:  # noqa: S107
    return url.replace("://", f"://{user}:{password}@")


@pytest.mark.usefixtures("trusted")
def test_to_another_machine_nothing_is_said_before_it_is_encrypted(
    configured: Flask, cast: SimpleNamespace, worker: Any, authority: trustme.CA
) -> None:
    mail_id, manners = queue(configured, cast), Manners(user=("portal", "seven herons/@dawn"))
    offered = {"tls_context": context_for(authority, ELSEWHERE), "require_starttls": True, "auth_required": True}
    with mail_server(manners, host=ELSEWHERE, **offered) as mailbox:
        sending(with_password(mailbox.url)).act(worker)
    assert len(mailbox.taken) == 1
    assert state(configured, cast, mail_id).startswith("sent at")


@pytest.mark.usefixtures("trusted")
def test_a_server_that_speaks_tls_from_the_first_byte(app: Flask, cast: SimpleNamespace, worker: Any, authority: trustme.CA) -> None:
    queue(app, cast)
    with mail_server(host=ELSEWHERE, tls=context_for(authority, ELSEWHERE)) as mailbox:
        sending(mailbox.url).act(worker)
    assert len(mailbox.taken) == 1


def test_another_machine_without_starttls_gets_no_mail_and_no_password(configured: Flask, cast: SimpleNamespace, worker: Any) -> None:
    mail_id, manners = queue(configured, cast), Manners(user=("portal", "seven herons/@dawn"))
    with mail_server(manners, host=ELSEWHERE, auth_require_tls=False) as mailbox:
        sending(with_password(mailbox.url)).act(worker)
        assert "STARTTLS" in state(configured, cast, mail_id)
        assert mailbox.commands == []


@pytest.mark.parametrize("name", ["another.example", None])
def test_a_certificate_of_somebody_else_is_not_trusted(
    configured: Flask, cast: SimpleNamespace, worker: Any, authority: trustme.CA, request: Any, name: str | None
) -> None:
    if name:  # the authority is trusted, but the certificate names another machine; else nobody knows the authority
        request.getfixturevalue("trusted")
    mail_id = queue(configured, cast)
    with mail_server(host=ELSEWHERE, tls_context=context_for(authority, name or ELSEWHERE)) as mailbox:
        sending(mailbox.url).act(worker)
    assert "its certificate is not trusted" in state(configured, cast, mail_id)
    assert mailbox.taken == []


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_told_without_it_and_takes_no_mail_along(
    configured: Flask, cast: SimpleNamespace, worker: Any, authority: trustme.CA, capsys: Any
) -> None:
    mail_id, manners = queue(configured, cast), Manners(user=("portal", "right"))
    with mail_server(manners, host=ELSEWHERE, tls_context=context_for(authority, ELSEWHERE), auth_required=True) as mailbox:
        sending(with_password(mailbox.url, password="very-wrong")).act(worker)
    assert "535" in state(configured, cast, mail_id)
    assert state(configured, cast, mail_id).startswith("queued")
    assert "very-wrong" not in state(configured, cast, mail_id) + capsys.readouterr().err


def test_a_folder_gets_a_file_for_each_mail_and_the_same_one_for_the_same_mail(
    app: Flask, cast: SimpleNamespace, owner: Any, worker: Any, tmp_path: Path
) -> None:
    mail_id = queue(app, cast)
    for _ in range(2):
        sending(f"file://{tmp_path}/mails").act(worker)
        owner.execute("UPDATE outbox SET sent_at = NULL, send_after = now(), body_text = 'again'")
    (found,) = (tmp_path / "mails").iterdir()
    assert found.name == f"{mail_id}@localhost.eml"
    assert found.stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match="cannot be made"):
        post_to(MailServer.of(f"file://{tmp_path}/file/mails"), SENDER).open()


# Real workers


def none_waits(owner: Any) -> bool:
    owner.execute("SELECT NOT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL)")
    return bool(owner.fetchone()[0])


def test_four_workers_send_each_of_a_thousand_mails_once(cast: SimpleNamespace, owner: Any, cluster: Any, database: str) -> None:
    queue_many(owner, cast, 1000)
    with mail_server() as mailbox, workers(4, cluster, database, MAIL_URL=mailbox.url) as running:
        assert until(lambda: none_waits(owner))
        assert [process.poll() for process in running] == [None] * 4
    assert Counter(mailbox.message_ids) == Counter(f"<{n}@portal.example>" for n in range(1, 1001))
    owner.execute("SELECT count(*), max(attempts) FROM outbox WHERE sent_at IS NOT NULL")
    assert owner.fetchone() == (1000, 1)


def test_a_worker_killed_in_the_middle_loses_nothing(cast: SimpleNamespace, owner: Any, cluster: Any, database: str) -> None:
    queue_many(owner, cast, 200)
    manners = Manners()
    with mail_server(manners) as mailbox:
        with workers(2, cluster, database, MAIL_URL=mailbox.url) as (killed, _other):
            assert until(lambda: len(mailbox.taken) > 20)
            manners.hangs = True
            assert until(lambda: mailbox.held == 2)
            killed.kill()
            killed.wait()
            manners.hangs = False
            assert until(lambda: under_way(owner) == 1 and waiting(owner) == 1), "the other goes on; that of the dead one is left to it"
        come_due(owner)
        with workers(1, cluster, database, MAIL_URL=mailbox.url):
            assert until(lambda: none_waits(owner))
    count = Counter(mailbox.message_ids)
    assert set(count) == {f"<{n}@portal.example>" for n in range(1, 201)}
    assert sorted(count.values())[-2:] == [1, 2], "the one that it had handed over and not yet noted came twice, with one Message-ID"


def under_way(owner: Any) -> int:
    owner.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND send_after > now()")
    return int(owner.fetchone()[0])


def waiting(owner: Any) -> int:
    owner.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
    return int(owner.fetchone()[0])


def test_a_worker_that_is_to_end_does_so_although_a_server_hangs(cast: SimpleNamespace, owner: Any, cluster: Any, database: str) -> None:
    queue_many(owner, cast, 3)
    manners = Manners(hangs=True)
    with mail_server(manners) as mailbox, workers(1, cluster, database, MAIL_URL=mailbox.url) as (process,):
        assert mailbox.begun.wait(20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    owner.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL AND last_error IS NULL")
    assert owner.fetchone() == (3,), "nobody says that the server did it"


def test_a_worker_without_a_mail_server_lets_mails_wait(cast: SimpleNamespace, owner: Any, cluster: Any, database: str) -> None:
    queue_many(owner, cast, 2)
    owner.execute("UPDATE outbox SET expires_at = now() - interval '1 minute' WHERE message_id = '<1@portal.example>'")
    with workers(1, cluster, database) as (process,):
        assert until(lambda: waiting(owner) == 1 or outdated(owner) == 1)
        process.terminate()
        assert process.wait(5) == 0
    owner.execute("SELECT message_id, attempts, body_text FROM outbox WHERE failed_at IS NULL")
    assert owner.fetchall() == [("<2@portal.example>", 0, "One of many.")]


def outdated(owner: Any) -> int:
    owner.execute("SELECT count(*) FROM outbox WHERE failed_at IS NOT NULL")
    return int(owner.fetchone()[0])


def test_a_talk_is_over_before_another_worker_may_take_the_mail() -> None:
    assert servers.TALK < outbox.LEASE


def test_what_was_handed_over_is_noted_although_the_worker_is_to_end(cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    stop = Stop()
    queue_many(owner, cast, 2)
    with mail_server() as mailbox:
        sender = sending(mailbox.url, stop)
        deliver = sender.post.deliver

        def deliver_and_stop(letter: Any) -> None:
            deliver(letter)
            stop.ask()

        sender.post.deliver = deliver_and_stop  # type: ignore[method-assign]
        set_wait_callback(stop.wait_for_server)  # as the worker's process does
        try:
            sender.act(worker)
        finally:
            set_wait_callback(None)
    assert len(mailbox.taken) == 1
    owner.execute("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL")
    assert owner.fetchone() == (1,)
    with pytest.raises(Stopping):
        stop.check()


def test_a_mail_is_queued_only_with_what_causes_it(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    def queue_and_fail() -> None:
        queue_within(cast.acme)
        db.session.flush()
        _ = 1 // 0

    with app.app_context(), tenancy.bound(cast.acme.id), pytest.raises(ZeroDivisionError), transaction():
        queue_and_fail()
    assert waiting(owner) == 0
