"""What a server brings along: its packages where the app names none, and its refusal where it should not be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from served import APP, GUNICORN, KINDS, ROOT

from carboy import requirements
from carboy.source import Source

GEVENT_WORKERS = GUNICORN.requires


@pytest.mark.parametrize(
    ("app", "added"),
    [
        ("flask==3.1.3\n", list(GEVENT_WORKERS)),
        ("gunicorn[gevent]==23.0\ngevent>=24\n", []),
        ("Gunicorn [setproctitle, gevent] >=23 # ours\ngevent @ https://example.com/gevent.whl\n", []),
        ("gunicorn==23.0\ngevent\n", ["gunicorn[gevent]"]),
        ("gunicorn-extra==1\n", list(GEVENT_WORKERS)),
        ("flask==3.1.3 --hash=sha256:00\n", []),
    ],
)
def test_packages_of_the_server(tmp_path: Path, app: str, added: list[str]) -> None:
    """What the app lacks is added; what it names stays in its own version, and with hashes nothing can be added."""
    file = tmp_path / "requirements.txt"
    file.write_text(app)
    text = requirements.content(Source("", {file.name: file}), file.name, (), where="", server=GEVENT_WORKERS)
    assert text.text().splitlines() == [*app.splitlines(), *added]


def test_versions_are_those_that_were_tried() -> None:
    """What a server brings along is what the app that ships with Carboy names, which all tests run."""
    named = (ROOT / "app/requirements.txt").read_text().splitlines()
    assert set(GUNICORN.requires) <= set(named)
    assert set(KINDS["gevent"].requires) <= set(named)
    assert replace(GUNICORN, worker_class="sync").requires[0].replace("==", "[gevent]==") in named


def test_flask_wants_a_word_of_consent() -> None:
    """Flask's server is refused until the host is said to be for development, and then there is a warning."""
    flask = replace(APP, server="flask")
    assert [problem[0] for problem in flask.validate()] == ["server"]
    assert not list(replace(flask, development=True).validate())
    assert list(replace(KINDS["flask"], app=flask).warnings())
    assert not list(KINDS["flask"].warnings())
