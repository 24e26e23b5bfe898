"""How fast the portal is, measured in one run beside the smallest honest Flask page; `make bench` lists the parts."""
