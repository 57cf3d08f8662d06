"""Docker and Compose as what runs an app: an image per release, and a container per image that serves."""
