"""Access codes: a word that an administrator gives to people, who then join by themselves."""
