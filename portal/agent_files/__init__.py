"""Files of agents: what an organization takes along of its agents, and what it brings in."""
