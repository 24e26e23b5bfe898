"""The instance folder: where it is, whose it is, and the rule that nothing of anybody else is changed."""

import os
from pathlib import Path

from portal.config import Settings
from portal.system import ROOT, Account, StartRefused, account_of, acting_as, enterable, serving_account

MARK = "Thanotopolis Portal"
FOR_ROOT = Path("/var/lib/thanotopolis-portal")


def instance_path(settings: Settings) -> Path:
    """INSTANCE_PATH, else `instance/` of the project; for root /var/lib/thanotopolis-portal where the serving account cannot reach that."""
    path = (ROOT / (settings.instance_path or "instance")).resolve()
    account = owner(path) or serving_account(settings.run_as)
    if enterable(path, account):
        return path
    if settings.instance_path:
        raise StartRefused(f"The account {account.name} cannot reach INSTANCE_PATH {path}; name a folder that is not below a private one.")
    return FOR_ROOT.resolve()


def owner(path: Path) -> Account | None:
    """Whose existing folder this is; None where it does not exist, or is root's."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return None
    return account_of(uid) if uid else None


def claim(path: Path, account: Account) -> None:
    """Make the folder for `account`, or see that the existing one is the portal's and its own; what exists is left as it is."""
    if not os.path.lexists(path):
        _make(path, account)
        return
    found = path.stat()
    if not path.is_dir():
        raise StartRefused(f"{path} is not a folder; move it away, or name another place by INSTANCE_PATH.")
    if found.st_uid != account.uid:
        raise StartRefused(
            f"The folder {path} belongs to {account_of(found.st_uid).name}, but the portal runs as {account.name}; "
            f"start it as {account_of(found.st_uid).name}, or name another place by INSTANCE_PATH."
        )
    if found.st_mode & 0o022:
        raise StartRefused(f"Others may write to the folder {path}; end that by chmod go-w, or name another place by INSTANCE_PATH.")
    with acting_as(account):
        if any(path.iterdir()) and not _marked(path / "lock"):
            raise StartRefused(f"The folder {path} holds other things than the portal's; name another place by INSTANCE_PATH.")


def _marked(lock: Path) -> bool:
    try:
        text = lock.read_text()
    except (OSError, UnicodeDecodeError):
        return False
    return text.startswith(MARK) or not text  # empty: stopped between making and marking


def _make(path: Path, account: Account) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        claim(path, account)  # another process of ours was faster
        return
    except OSError as error:
        raise StartRefused(f"The folder {path} cannot be made ({error.strerror}); name another place by INSTANCE_PATH.") from None
    if os.geteuid() == 0:
        _give(path, account)


def _give(path: Path, account: Account) -> None:
    """Hand the folder just made to the account, through its descriptor: the name may lie where others can exchange it."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(folder).st_uid != os.geteuid() or os.listdir(folder):
            raise StartRefused(f"Somebody else changes {path} at this moment; name another place by INSTANCE_PATH.")
        os.fchown(folder, account.uid, account.gid)
    finally:
        os.close(folder)
