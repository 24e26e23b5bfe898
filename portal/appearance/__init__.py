"""How the portal looks to one reader: light, dark, or as the system does."""
