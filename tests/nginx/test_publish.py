"""What a release lays out for nginx to serve itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

from carboy.template import template


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    """What is hidden in a folder is not published, except at a path that was asked for, whatever the order."""
    release = tmp_path / "releases/r1"
    for name in ("static/site.css", "static/.git/config", "static/.well-known/private", "known/acme", "known/.x"):
        (release / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (release / "tree" / name).write_text(name)
    static = {"/s/.well-known": "known", "/s": "static", "/.well-known": "known"}
    (release / "publish.sh").write_text(template("nginx/publish.sh.j2", s=SimpleNamespace(static=static)).text())
    subprocess.run(["sh", release / "publish.sh"], check=True)
    found = {str(path.relative_to(release / "public")) for path in release.glob("public/**/*") if path.is_file()}
    assert found == {"s/site.css", "s/.well-known/acme", ".well-known/acme"}
