"""One verb on many hosts: at once, in batches, back again, and what is kept of it."""
