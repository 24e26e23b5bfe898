"""Flask's session cookie and the tokens of forms, as ever, but signed with keys that are derived once and not at every request."""

from functools import cache, cached_property
from typing import Any

from flask import Flask, Response, current_app, g, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin, session_json_serializer
from flask_wtf.csrf import generate_csrf
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode, want_bytes

SHORT = 300  # bytes


class Signer(TimestampSigner):
    """itsdangerous derives the key of its signer at every signature; here it is derived once."""

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        return self.key if secret_key in (None, self.secret_key) else super().derive_key(secret_key)

    @cached_property
    def key(self) -> bytes:
        return super().derive_key()


class Serializer(URLSafeTimedSerializer):
    """Payloads this short are not worth trying to compress; they are read alike."""

    default_signer = Signer

    def dump_payload(self, obj: Any) -> bytes:
        plain = want_bytes(self.serializer.dumps(obj, **self.serializer_kwargs))
        return base64_encode(plain) if len(plain) < SHORT else super().dump_payload(obj)

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        return self.one_signer if salt in (None, self.salt) else super().make_signer(salt)  # type: ignore[return-value]

    @cached_property
    def one_signer(self) -> Signer:
        return Signer(self.secret_keys, salt=self.salt, **self.signer_kwargs)


@cache
def _serializer(key: str, salt: str, derivation: str, serializer: Any = None) -> Serializer:
    return Serializer(key, salt=salt, serializer=serializer, signer_kwargs={"key_derivation": derivation})


class Sessions(SecureCookieSessionInterface):
    """Flask's own sessions in a signed cookie, by the serializer that is kept."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer:
        return _serializer(str(app.secret_key), self.salt, self.key_derivation, session_json_serializer)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """One that nothing was written into needs no cookie; that answers vary with it, `responses.finish` says."""
        if session.modified:
            super().save_session(app, session, response)


def csrf_token() -> str:
    """The token of this request's forms, made at the first call, as flask_wtf makes it."""
    token = g.get("csrf_token")
    if token is None:
        if "csrf_token" not in session:
            return generate_csrf()
        token = g.csrf_token = _serializer(str(current_app.secret_key), "wtf-csrf-token", "django-concat").dumps(session["csrf_token"])
    return str(token)
