"""Conversations, and the people and agents in them."""
