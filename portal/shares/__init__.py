"""Sharing agents with partner organizations, agreed by both sides."""
