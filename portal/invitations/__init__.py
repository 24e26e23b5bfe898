"""Invitations: people whom an administrator asks to join, each by a link that works once."""
