"""A secret reaches the app byte for byte, and nothing else: no log, no list of processes, no readable file or event."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from carboy.sandbox import HostOptions
from tests.host.conftest import ROOT, Site, site
from tests.support.trees import fill

CORE = "Sentinel7f3a9c"
SECRET = f"""{CORE} "double" 'single' $HOME ${{PATH}} `id` \\n \\ %h %% # ; \ttab é
second line\\"""
PLAIN = SECRET.replace(CORE, "Plain")
APP = """
import hashlib
import os

from flask import Flask

app = Flask(__name__)


@app.get("/health")
def health():
    return "ok"


@app.get("/digest/<name>")
def digest(name):
    return hashlib.sha256(os.environ[name].encode()).hexdigest()
"""
WATCH = """
until [ -e /run/enough ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; done >/run/cmdlines
"""
READABLE = f"grep -rlaF --exclude-dir=proc --exclude-dir=sys {CORE} / 2>/dev/null || true"


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host that was deployed to twice, with a secret, while its list of processes was written down."""
    with site(tmp_path_factory.mktemp("site"), HostOptions(publish_http=True)) as made:
        fill(
            made.app, {"teller.py": APP, "requirements.txt": "flask==3.1.3\ngunicorn[gevent]==27.0.1\ngevent==26.9.0\n"}
        )
        (made.folder / "secrets.yml").write_text(yaml.safe_dump({"THE_SECRET": SECRET, "TOKEN": "a"}))
        made.variables = {
            "app_wsgi": "teller:app",
            "app_include": ["teller.py", "requirements.txt"],
            "app_requirements": "requirements.txt",
            "app_environment": {"PLAIN": PLAIN, "TOKEN": "b"},
            "app_secrets_file": str(made.folder / "secrets.yml"),
        }
        yield made


@contextmanager
def watched(site: Site) -> Iterator[None]:
    """Have every command line on the host written down during a block."""
    container = site.host.container
    watch = subprocess.Popen([container.engine.name, "exec", container.name, "sh", "-c", WATCH])
    yield
    site.shell("touch /run/enough")
    watch.wait()


def digest(site: Site, name: str) -> str:
    """What the app makes of an environment variable."""
    with urllib.request.urlopen(f"{site.host.url}digest/{name}", timeout=10) as answer:
        return str(answer.read().decode())


def for_people(site: Site, *arguments: str) -> str:
    """What a command says without --json."""
    command = [word for word in site.command(*arguments) if word != "--json"]
    done = subprocess.run(command, cwd=ROOT, env=site.env, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_the_app_sees_exactly_the_value(teller: Site) -> None:
    """Quotes, dollars, backslashes, specifiers, tabs and newlines arrive as written; a secret wins over a plain one."""
    with watched(teller):
        first = teller.invoke("deploy")
    assert first.of("cutover")
    expected = {"THE_SECRET": SECRET, "PLAIN": PLAIN, "TOKEN": "a"}
    for name, value in expected.items():
        assert digest(teller, name) == hashlib.sha256(value.encode()).hexdigest(), name


def test_no_command_line_names_it(teller: Site) -> None:
    """Neither the way to the host nor any program that ran there had the secret among its arguments."""
    lines = teller.shell("cat /run/cmdlines")
    assert "import sys,zlib" in lines and "systemd-analyze verify" in lines, "the watch saw nothing"
    assert CORE not in lines


def test_no_verb_shows_it(teller: Site) -> None:
    """No verb says it, for people or for programs, even where it changes."""
    path = teller.folder / "secrets.yml"
    path.write_text(yaml.safe_dump({"THE_SECRET": SECRET + " changed", "TOKEN": "a"}))
    said = [
        for_people(teller, *words) for words in (["plan"], ["deploy", "--diff"], ["catalog"], ["rollback", "--check"])
    ]
    assert "secret content differs" in said[0] and "secret content differs" in said[1]
    for verb in ("plan", "deploy", "status", "history", "logs", "catalog"):
        outcome = teller.invoke(verb, expect=None)
        said += [outcome.stdout, outcome.stderr]
    assert CORE not in "".join(said)


def test_no_file_of_the_host_shows_it(teller: Site) -> None:
    """On the host it lies in root's own files alone: releases' environment, and what was sent of it."""
    for user in ("nobody", "hello", "deploy"):
        assert teller.shell(f"setpriv --reuid={user} --clear-groups {READABLE}") == "", user
        assert teller.shell(f"setpriv --reuid={user} --clear-groups cat /srv/hello/current/environment || true") == ""
    holding = teller.shell(READABLE).splitlines()
    assert len(holding) >= 2
    assert {path for path in holding if not path.endswith("/environment")} == set()
    modes = teller.shell(f"stat -c '%a %U' {' '.join(holding)}").splitlines()
    assert set(modes) == {"600 root"}


def test_no_account_of_the_host_shows_it(teller: Site) -> None:
    """The journal, the units and the processes of others show nothing."""
    assert CORE not in teller.shell("journalctl -a --no-pager; systemctl show '*' 'hello@*'; systemctl cat 'hello*'")
    assert CORE not in teller.shell("cat /var/lib/carboy/runs/* /srv/hello/history.jsonl /var/log/hello/*")
    others = "cat /proc/[0-9]*/environ 2>/dev/null | grep -caF " + CORE + " || true"
    assert teller.shell(f"setpriv --reuid=nobody --clear-groups sh -c '{others}'") == "0"
    assert teller.shell(f"sh -c '{others}'") != "0", "the app itself has it"


def test_nothing_here_keeps_it(teller: Site) -> None:
    """This machine keeps no copy: not beside the project, not in the caches, not in the home directory."""
    places = [ROOT / ".carboy", Path(teller.env["XDG_CACHE_HOME"]) / "carboy", teller.folder]
    found = subprocess.run(["grep", "-rlaF", CORE, *map(str, places)], capture_output=True, text=True).stdout
    assert found.split() == [str(teller.folder / "secrets.yml")]


def test_a_wrong_secrets_file_is_refused_without_its_words(teller: Site) -> None:
    """A file that is not a mapping of texts is named in the error, its content is not."""
    for text in (f"- {CORE}", f"A: [{CORE}]", f"{{{CORE}"):
        path = teller.folder / "wrong.yml"
        path.write_text(text)
        outcome = teller.invoke("deploy", "-e", f"app_secrets_file={path}", expect=3)
        assert "wrong.yml" in json.dumps(outcome.events) and CORE not in outcome.stdout + outcome.stderr
    path.unlink()
