"""nginx on a host: the sites of apps among those of others."""
