"""Files of agents: what an organization exports of its agents, and what it imports."""
