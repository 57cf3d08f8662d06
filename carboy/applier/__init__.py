"""Everything in this folder runs on hosts: standard library only, Python 3.9 syntax, nothing left behind running."""
