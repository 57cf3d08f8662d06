"""`python -m app`: Flask's own server, for development on this machine only."""

from __future__ import annotations

import argparse

from app.factory import create_app


def main() -> None:
    """Serve the app on 127.0.0.1 until interrupted, reloading when the code changes."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (default: %(default)s)")
    create_app().run(host="127.0.0.1", port=parser.parse_args().port, use_reloader=True)


if __name__ == "__main__":
    main()
