"""Carboy takes a Flask app from a laptop to the machines that serve it."""
