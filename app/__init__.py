"""The Flask app that ships with Carboy: it says which release, host and worker answered."""
