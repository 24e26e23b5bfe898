"""Above the organizations: the reserved tenant `platform` and its people."""
