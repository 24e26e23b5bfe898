"""Agents: the catalogue, and who owns which."""
