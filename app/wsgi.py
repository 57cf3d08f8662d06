"""The WSGI object that gunicorn serves."""

from __future__ import annotations

from app.factory import create_app

app = create_app()
