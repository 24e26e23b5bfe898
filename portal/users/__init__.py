"""Users: people's accounts in an organization, and their roles."""
