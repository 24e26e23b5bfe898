"""Static files under a name that changes with their content, compressed once and served by WhiteNoise."""

import gzip
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import brotli
from flask import Flask
from whitenoise import WhiteNoise

FOREVER = 60 * 60 * 24 * 365
COMPRESSED = {".css", ".js", ".svg", ".json"}


def init_app(app: Flask, static: Path, instance: Path | None) -> None:
    """Serve `static` below /static/<digest of its content>/; compressed copies are kept in the instance.

    Only in one that is ours: a command run by root must not write where the serving account could have laid a link.
    """
    digest = digest_of(static)
    ours = instance is not None and instance.stat().st_uid == os.geteuid()
    folder = compressed_copy(static, instance / "static" / digest) if instance and ours else static
    noise = WhiteNoise(app.wsgi_app, max_age=FOREVER, allow_all_origins=False, add_headers_function=add_headers)
    noise.add_files(str(folder), prefix=f"static/{digest}/")
    app.wsgi_app = noise  # type: ignore[method-assign]
    app.jinja_env.globals["static_url"] = app.jinja_env.filters["static_url"] = lambda name: f"/static/{digest}/{name}"


def add_headers(headers: object, path: str, url: str) -> None:
    headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"  # type: ignore[index]
    headers["X-Content-Type-Options"] = "nosniff"  # type: ignore[index]
    headers["Cross-Origin-Resource-Policy"] = "same-origin"  # type: ignore[index]


def digest_of(static: Path) -> str:
    """The first 12 hexadecimal digits over names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in static.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(static)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def compressed_copy(static: Path, target: Path) -> Path:
    """A copy of `static` at `target` with .br and .gz beside what compresses; made once, also when several start at once."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent))
    shutil.copytree(static, draft, dirs_exist_ok=True)
    for path in [path for path in draft.rglob("*") if path.suffix in COMPRESSED]:
        content = path.read_bytes()
        path.with_name(path.name + ".br").write_bytes(brotli.compress(content, quality=10))
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content, mtime=0))
    draft.chmod(0o755)
    try:
        os.rename(draft, target)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return target
