"""What templates were compiled to, kept in the instance from one start of the portal to the next."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jinja2
from flask import Flask
from jinja2.bccache import Bucket, FileSystemBytecodeCache

from portal.system import ROOT

# What is compiled holds addresses of doors and names of static files too, and parts of other templates.
SOURCES = (ROOT / "portal", ROOT / "templates", ROOT / "static", Path(jinja2.__file__).parent)


class Compiled(FileSystemBytecodeCache):
    """Jinja's cache in files; where one cannot be written, each process compiles for itself."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


def init_app(app: Flask, instance: Path | None) -> None:
    """Keep what is compiled in the instance, for exactly these sources; what was compiled of others goes.

    Only in one that is ours, as with static files.
    """
    if instance is None or instance.stat().st_uid != os.geteuid():
        return
    kept = instance / "templates" / state_of_sources()
    try:
        if not kept.exists():
            shutil.rmtree(kept.parent, ignore_errors=True)
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:  # a full disk, for example
        return
    app.jinja_env.bytecode_cache = Compiled(str(kept), "%s")


def state_of_sources() -> str:
    """A digest over names, sizes and times of change of all that what is compiled may depend on; as Python does, it trusts those."""
    digest = hashlib.sha256(sys.version.encode())
    for source in SOURCES:
        for line in sorted(_states(str(source))):
            digest.update(line.encode())
    return digest.hexdigest()[:16]


def _states(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _states(entry.path) if entry.name != "__pycache__" else ()
            else:
                about = entry.stat()
                yield f"{entry.path} {about.st_size} {about.st_mtime_ns}\n"
