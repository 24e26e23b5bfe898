"""Audit entries in the reader's words."""

from typing import Any

SENTENCES = {
    "organization_registered": "registered the organization",
    "organization_changed": "changed the organization's settings",
    "signed_in": "signed in",
    "signed_out": "signed out",
    "session_ended": "signed out one of their own devices",
    "sessions_ended": "signed out everywhere else",
    "profile_changed": "changed their own name or username",
    "email_change_asked": "asked to change the e-mail address",
    "email_change_dropped": "kept the current e-mail address",
    "email_link_asked": "asked for a link to confirm the e-mail address",
    "email_confirmed": "confirmed the e-mail address",
    "email_changed": "changed the e-mail address",
    "password_changed": "changed their own password",
    "password_link_mailed": "mailed a link for a new password",
    "password_link_made": "made a password link for an account",
    "password_chosen_by_link": "set a new password with a link",
    "role_changed": "changed a role",
    "administration_handed_over": "handed over the administration",
    "user_deactivated": "deactivated an account",
    "user_reactivated": "reactivated an account",
    "user_signed_out": "signed an account out everywhere",
    "user_removed": "removed an account",
    "roles_changed": "changed several roles",
    "users_deactivated": "deactivated several accounts",
    "users_reactivated": "reactivated several accounts",
    "users_signed_out": "signed several accounts out everywhere",
    "bulk_undone": "undid a change of several accounts",
    "users_imported": "imported several accounts",
    "users_invited": "invited people",
    "invitation_sent_again": "sent an invitation again",
    "invitation_withdrawn": "withdrew an invitation",
    "invitation_accepted": "accepted an invitation",
    "code_made": "made an access code",
    "code_withdrawn": "withdrew an access code",
    "joined_by_code": "joined by an access code",
    "newcomer_accepted": "accepted somebody who joined by a code",
    "newcomer_refused": "refused somebody who joined by a code",
    "agent_made": "made an agent",
    "agent_changed": "changed an agent",
    "agent_published": "published a version of an agent",
    "agent_unpublished": "unpublished an agent",
    "agent_kept": "kept an agent as it is although its original was changed",
    "agent_removed": "removed an agent",
    "agent_switched_on": "switched an agent on",
    "agent_switched_off": "switched an agent off",
    "agent_withdrawn": "withdrew an agent",
    "agent_brought_back": "brought an agent back",
    "agents_brought_in": "imported agents from a file",
    "agent_offered": "offered to share an agent",
    "agent_share_accepted": "accepted an agent that was offered",
    "agent_share_refused": "refused an agent that was offered",
    "agent_share_ended": "ended the sharing of an agent",
    "refused": "was refused",
    "platform_account_created": "was made a platform account",
}


def sentence(entry: Any) -> str:
    """What happened, to be read after the actor's name; the action's own name where no words are kept for it.

    Of a refusal also what was asked for and why not, where the entry tells its `changes`.
    """
    if entry.action == "refused":
        told = {field: new for field, _, new in in_words(getattr(entry, "changes", None))}
        method, _, path = told.get("request", "").partition(" ")
        if path.startswith("/"):
            return f"was refused {'the page' if method == 'GET' else 'an action at'} {path}. {told.get('reason', '')}".rstrip()
    return SENTENCES.get(entry.action, entry.action.replace("_", " "))


def in_words(changes: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Field, old and new value of each change, as people read them; nothing is "nothing"."""
    if not changes:
        return []
    pairs = {field: value if isinstance(value, list) and len(value) == 2 else [None, value] for field, value in changes.items()}
    return [(field.replace("_", " "), _told(old), _told(new)) for field, (old, new) in pairs.items()]


def _told(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')}: {_told(part)}" for name, part in value.items())
    return str(value)
