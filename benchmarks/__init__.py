"""How long verbs take on a container host, next to plain ssh in the same run; `make bench` prints the table."""
