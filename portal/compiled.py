"""What templates were compiled to, kept in the instance from one start of the portal to the next."""

import hashlib
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, FileSystemBytecodeCache

from portal.system import ROOT

FOLDERS = (ROOT / "portal", ROOT / "templates")  # what is compiled holds addresses of doors, and parts of other templates
PACKAGES = ROOT / "requirements.txt"  # Jinja and all that it was compiled with


class Compiled(FileSystemBytecodeCache):
    """Jinja's cache in files. One that cannot be written or read is none: the process compiles for itself."""

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except Exception:  # damaged, in any of the ways in which Python refuses to read it
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


def init_app(app: Flask, instance: Path | None) -> None:
    """Keep what is compiled in the instance, for exactly these sources; what was compiled of others goes.

    Only where nobody else can write: it is code that will be run.
    """
    static_url: Any = app.jinja_env.globals["static_url"]
    try:
        if instance is None or not _is_ours_alone(instance):
            return
        folder = instance / "compiled"
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = folder / digest_of_sources(static_url(""))
        if not _is_ours_alone(folder):
            return
        for other in set(folder.iterdir()) - {kept}:
            shutil.rmtree(other, ignore_errors=True)
        kept.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours_alone(kept):
            return
    except OSError:  # a full disk, for example, or an editor's file that is gone by now
        return
    app.jinja_env.bytecode_cache = Compiled(str(kept), "%s")


def _is_ours_alone(folder: Path) -> bool:
    about = folder.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def digest_of_sources(static: str) -> str:
    """16 hexadecimal digits over the contents of all that decides what templates are compiled to; `static` stands for the static files."""
    digest = hashlib.blake2b(f"{sys.version} {static}".encode(), digest_size=8)
    found = [f"{folder}/{name}" for top in FOLDERS for folder, _, names in os.walk(top) for name in names if not name.startswith(".")]
    for path in sorted(path for path in found if path.endswith((".py", ".html", ".txt"))):
        with open(path, "rb") as file:
            digest.update(f"\0{path}\0".encode() + file.read())
    digest.update(PACKAGES.read_bytes())
    return digest.hexdigest()
