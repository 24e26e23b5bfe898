"""Started by root, the portal goes on as an unprivileged account, and sees its own code there even below a private folder."""

import compileall
import ctypes
import os
import site
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

from portal.config import Settings
from portal.database.binaries import installed
from portal.database.folder import FOR_ROOT, claim, instance_path
from portal.system import ROOT, Account, StartRefused, enterable, libc, say, serving_account, within_reach

PR_SET_DUMPABLE = 4
CLONE_NEWNS, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x2, 0x4, 0x1000, 0x4000, 0x40000


def hand_over(settings: Settings) -> None:
    """Make this process one of the serving account, for good: it has no way back to root."""
    account = serving_account(settings.run_as)
    folder = instance_path(settings)
    env = _environment(account, folder)
    if not sys.dont_write_bytecode:
        compileall.compile_dir(ROOT / "portal", quiet=2)
    _show_code_to(account)
    _check_reach(account, settings)
    if folder == FOR_ROOT.resolve() and not settings.instance_path:
        say(f"{ROOT / 'instance'} is out of reach for the account {account.name}, so the data is kept in {folder}.")
    claim(folder, account)
    _become(account)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = True


def _environment(account: Account, folder: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SUDO_", "XDG_"))}
    private = ROOT / ".env"
    if private.exists() and not within_reach(private, account):  # root read it; its values go on, its text does not
        given = {name: value for name, value in env.items() if value}
        env = {name: value for name, value in dotenv_values(private).items() if value} | given
    identity = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
    return env | identity | {"INSTANCE_PATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _become(account: Account) -> None:
    try:
        os.initgroups(account.name, account.gid)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # its own files below /proc are its own, as those of any process of that account
    except OSError as error:
        raise StartRefused(
            f"Root may not become {account.name} here ({error.strerror}); start the portal as an ordinary account."
        ) from None


def _code() -> set[Path]:
    """The folders that the interpreter and the portal are loaded from, by each name on the way to them."""
    folders = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve()}
    program = Path(sys.executable)
    while program.is_symlink():
        folders.add(program.parents[1])
        program = Path(os.path.normpath(program.parent / program.readlink()))
    return folders | {program.parents[1]}


def _show_code_to(account: Account) -> None:
    """Where folders above the code are private: a view of the files, for this process only, that holds of them just the code."""
    hidden = {folder for folder in _code() if _blocker(folder, account)}
    if not hidden:
        return
    parts = {part: _blocker(folder, account) or folder for folder in hidden for part in _parts(folder, account)}
    parts = {part: blocker for part, blocker in parts.items() if not any(above in parts for above in part.parents)}
    try:
        _call(libc.unshare(CLONE_NEWNS))
        _mount(None, Path("/"), None, MS_REC | MS_PRIVATE)
        # Opened within the new view, the folders stay reachable by descriptor when their names are covered.
        opened = {part: os.open(part, os.O_PATH | os.O_NOFOLLOW) for part in parts}
        for blocker in set(parts.values()):
            _mount("tmpfs", blocker, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        for part, descriptor in opened.items():
            _put(part, descriptor)
    except OSError as error:
        raise StartRefused(
            f"The account {account.name} cannot reach {min(hidden)}, and this machine allows no private view of it ({error.strerror}); "
            "move the portal and its Python to where everybody may read, such as /opt, or start it as an ordinary account."
        ) from None


def _blocker(folder: Path, account: Account) -> Path | None:
    """The uppermost folder on the way that keeps the account out; None when it can read the folder."""
    for above in reversed(folder.parents):
        if not enterable(above, account):
            return above
    return None if within_reach(folder, account) else folder


def _parts(folder: Path, account: Account) -> Iterable[Path]:
    """The folder, or what is in it where its own permissions are what keeps the account out; of the project just the code."""
    if folder == ROOT:  # not .env, .git and whatever else lies there
        return [ROOT / name for name in ("portal", "templates", "static", "migrations", "wsgi.py")]
    found = folder.stat()
    granted = found.st_mode >> (6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0)
    return [folder] if granted & 0o5 == 0o5 else folder.iterdir()


def _put(part: Path, descriptor: int) -> None:
    """Let what the descriptor refers to appear under its old name."""
    before = os.umask(0o022)
    part.parent.mkdir(parents=True, exist_ok=True)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISLNK(kind):
        part.symlink_to(os.readlink("", dir_fd=descriptor))
    elif stat.S_ISDIR(kind) or stat.S_ISREG(kind):
        part.mkdir() if stat.S_ISDIR(kind) else part.touch()
        _mount(f"/proc/self/fd/{descriptor}", part, None, MS_BIND | MS_REC)
    os.umask(before)


def _mount(source: str | None, target: Path, kind: str | None, flags: int, options: str | None = None) -> None:
    said = [text.encode() if text is not None else None for text in (source, str(target), kind, options)]
    _call(libc.mount(said[0], said[1], said[2], ctypes.c_ulong(flags), said[3]))


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _check_reach(account: Account, settings: Settings) -> None:
    needed = [
        Path(sys.executable),
        Path(os.__file__),
        ROOT / "portal" / "serve.py",
        ROOT / "wsgi.py",
        Path(compileall.__file__),
    ]
    needed += [Path(folder) for folder in site.getsitepackages()] + ([installed() / "postgres"] if settings.embedded else [])
    for path in needed:
        if not within_reach(path, account):
            raise StartRefused(
                f"The account {account.name} cannot read {path}; allow it with chmod -R go+rX, or start the portal as an ordinary account."
            )
