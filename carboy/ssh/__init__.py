"""SSH as people have it: their configuration, keys, agent and known hosts, jumps on the way, and root at the end."""
