"""systemd as what runs an app: a socket that stays, and a service per release."""
