"""A secret reaches the app byte for byte, and nothing else: no log, no list of processes, no readable file or event."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from unittest.mock import patch

import pytest
import yaml

from carboy.sandbox import HostOptions
from tests.host.compose_box import kill_run
from tests.host.conftest import ROOT, Outcome, Site, site
from tests.support.trees import fill
from tests.support.vaults import encrypted

CORE = "Sentinel7f3a9c"
SECRET = f"""{CORE} "double" 'single' $HOME ${{PATH}} `id` \\n \\ %h %% # ; \ttab é
second line\\"""
PLAIN = SECRET.replace(CORE, "Plain")
VALUES = {name: f"{CORE} {name} {{{{ x }}}}" for name in ("VAULTED", "WHOLE", "EXPORTED", "SAID", "PLACED")}
VALUES["WHOLE"] = f"{CORE} of a file"
FILES = {**VALUES, "THE_SECRET": SECRET, "TOKEN": "a"}
del FILES["PLACED"]
PASSWORD = "Sentinel7f3a9c is the password"
APP = """
import hashlib
import os

from flask import Flask

app = Flask(__name__)
# The gate would not be passed if a candidate had none of them.
FILES = {name: open(path, "rb").read() for name, path in os.environ.items() if name.endswith("_FILE")}


@app.get("/health")
def health():
    return "ok"


@app.get("/digest/<name>")
def digest(name):
    value = FILES.get(name + "_FILE") or os.environ.get(name, "").encode()
    return hashlib.sha256(value).hexdigest() + (" file" if name + "_FILE" in FILES and name not in os.environ else "")
"""
WATCH = """
until [ -e /run/enough ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; done >/run/cmdlines
"""
READABLE = f"grep -rlaF --exclude-dir=proc --exclude-dir=sys {CORE} %s 2>/dev/null || true"
HOOK = 'sha256sum <"$VAULTED_FILE"'
SLOW = ["touch /srv/hello/shared/now; sleep 60"]
FAULT = """
import sys, roles.release
def broken(*parts): raise RuntimeError(f"broken: {parts!r}")
roles.release.digest = broken
from invoke.main import program
program.run(["invoke", *sys.argv[1:]])
"""
EVERY = [
    ["plan", "--debug"],
    ["deploy", "--debug", "--diff"],
    ["rollback", "--debug", "--check", "--diff"],
    ["verify", "--debug"],
    ["status", "--debug"],
    ["history", "--debug"],
    ["logs", "--debug"],
    ["catalog", "--debug"],
    ["runs", "--debug"],
    ["maintenance", "on"],
    ["doctor", "--debug"],
]
NEVER = {"trust", "sandbox.up", "sandbox.down"}
"""Verbs that read no setting."""


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host, and an inventory whose app has secrets from everywhere."""
    with site(tmp_path_factory.mktemp("site"), HostOptions(publish_http=True)) as made:
        fill(
            made.app, {"teller.py": APP, "requirements.txt": "flask==3.1.3\ngunicorn[gevent]==27.0.1\ngevent==26.9.0\n"}
        )
        inside = json.dumps({"whole": VALUES["WHOLE"], "app_start_timeout": 61})
        texts = (VALUES["VAULTED"], VALUES["PLACED"], inside)
        values = encrypted([("prod", PASSWORD, text) for text in texts])
        tagged = f"vaulted: !vault {json.dumps(values[0])}\nplaced: !vault {json.dumps(values[1])}\n"
        fill(
            made.folder,
            {
                "secrets.yml": yaml.safe_dump({"THE_SECRET": SECRET, "TOKEN": "a"}),
                "password": PASSWORD + "\n",
                "said": VALUES["SAID"] + "\n",
                "inventory/group_vars/all/values.yml": tagged,
                "inventory/group_vars/all/secret.yml": values[2],
            },
        )
        made.variables = {
            "app_wsgi": "teller:app",
            "app_include": ["teller.py", "requirements.txt"],
            "app_requirements": "requirements.txt",
            "app_environment": {"PLAIN": PLAIN, "TOKEN": "b", "PLACED": "{{ placed }}"},
            "app_secrets_file": str(made.folder / "secrets.yml"),
            "app_secrets": {
                "VAULTED": "{{ vaulted }}",
                "WHOLE": "{{ whole }}",
                "EXPORTED": {"env": "TELLERS_SECRET"},
                "SAID": {"command": ["cat", str(made.folder / "said")]},
            },
        }
        password = str(made.folder / "password")
        with patch.dict(os.environ, TELLERS_SECRET=VALUES["EXPORTED"], ANSIBLE_VAULT_PASSWORD_FILE=password):
            yield made


@contextmanager
def watched(site: Site) -> Iterator[list[str]]:
    """Have every command line on the host written down during a block; those of this machine are what is given."""
    container, here, enough = site.host.container, list[str](), Event()
    watch = subprocess.Popen([container.engine.name, "exec", container.name, "sh", "-c", WATCH])

    def look() -> None:
        while not enough.wait(0.05):
            here.append(subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True).stdout)

    thread = Thread(target=look)
    thread.start()
    try:
        yield here
    finally:
        enough.set()
        thread.join()
        site.shell("touch /run/enough")
        watch.wait()


def digest(site: Site, name: str) -> str:
    """What the app makes of a secret, and whether it has it as a file alone."""
    with urllib.request.urlopen(f"{site.host.url}digest/{name}", timeout=10) as answer:
        return str(answer.read().decode())


def digests(values: dict[str, str], end: str = "") -> dict[str, str]:
    """What the app should make of each."""
    return {name: hashlib.sha256(value.encode()).hexdigest() + end for name, value in values.items()}


def for_people(site: Site, *arguments: str) -> str:
    """What a command says without --json."""
    command = [word for word in site.command(*arguments) if word != "--json"]
    done = subprocess.run(command, cwd=ROOT, env=site.env, capture_output=True, text=True)
    return done.stdout + done.stderr


def said(outcome: Outcome) -> str:
    """All that a command said."""
    return outcome.stdout + outcome.stderr


def held(site: Site, places: str) -> dict[str, str]:
    """Mode and owner of each file below some places of the host that holds a secret."""
    paths = site.shell(READABLE % places).splitlines()
    shown = site.shell(f"stat -c '%n %a %U' {' '.join(paths)}").splitlines()
    return dict(line.split(" ", 1) for line in shown)


def test_the_app_sees_exactly_the_value(teller: Site) -> None:
    """Quotes, dollars, backslashes, specifiers, tabs and newlines arrive as written; a secret wins over a plain one."""
    with watched(teller) as here:
        # In a process of its own, which has its arguments as a command line.
        first = teller.invoke("deploy", env={"LC_ALL": "C.UTF-8"})
    assert first.of("cutover")
    expected = digests({**FILES, "PLAIN": PLAIN, "PLACED": VALUES["PLACED"]})
    assert {name: digest(teller, name) for name in expected} == expected
    assert "invoke deploy" in "".join(here) and CORE not in "".join(here)


def test_no_command_line_names_it(teller: Site) -> None:
    """Neither the way to the host nor any program that ran there had the secret among its arguments."""
    lines = teller.shell("cat /run/cmdlines")
    assert "import sys,zlib" in lines and "systemd-analyze verify" in lines, "the watch saw nothing"
    assert CORE not in lines


def test_no_verb_shows_it(teller: Site) -> None:
    """No verb says it, for people or for programs, even where it changes."""
    path = teller.folder / "secrets.yml"
    path.write_text(yaml.safe_dump({"THE_SECRET": SECRET + " changed", "TOKEN": "a"}))
    shown = [
        for_people(teller, *words) for words in (["plan"], ["deploy", "--diff"], ["catalog"], ["rollback", "--check"])
    ]
    assert "secret content differs" in shown[0] and "secret content differs" in shown[1]
    shown += [said(teller.invoke(verb, expect=None)) for verb in ("plan", "status", "logs", "catalog")]
    assert CORE not in "".join(shown)


def test_no_file_of_the_host_shows_it(teller: Site) -> None:
    """On the host it lies in root's own files alone: releases' environment, and what was sent of it."""
    for user in ("nobody", "hello", "deploy"):
        assert teller.shell(f"setpriv --reuid={user} --clear-groups {READABLE % '/'}") == "", user
        assert teller.shell(f"setpriv --reuid={user} --clear-groups cat /srv/hello/current/environment || true") == ""
    holding = held(teller, "/")
    assert len(holding) >= 2
    assert {path for path in holding if not path.endswith("/environment")} == set()
    assert set(holding.values()) == {"600 root"}


def test_no_account_of_the_host_shows_it(teller: Site) -> None:
    """The journal, the units and the processes of others show nothing."""
    assert CORE not in teller.shell("journalctl -a --no-pager; systemctl show '*' 'hello@*'; systemctl cat 'hello*'")
    assert CORE not in teller.shell("cat /var/lib/carboy/runs/* /srv/hello/history.jsonl /var/log/hello/*")
    others = "cat /proc/[0-9]*/environ 2>/dev/null | grep -caF " + CORE + " || true"
    assert teller.shell(f"setpriv --reuid=nobody --clear-groups sh -c '{others}'") == "0"
    assert teller.shell(f"sh -c '{others}'") != "0", "the app itself has it"


def test_as_files(teller: Site) -> None:
    """As files they reach the candidate, the hook and the app, whose environment holds none, and nobody else."""
    teller.variables |= {"app_secrets_as": "files", "release_before_cutover": [HOOK]}
    deployed = for_people(teller, "deploy", "--diff", "--debug")
    assert "~ secrets/VAULTED (secret content differs)" in deployed and CORE not in deployed
    assert digests(VALUES)["VAULTED"] in deployed, "the hook has it"
    expected = {**digests(FILES, " file"), **digests({"PLACED": VALUES["PLACED"], "PLAIN": PLAIN})}
    expected["THE_SECRET"] = digests({"THE_SECRET": SECRET + " changed"}, " file")["THE_SECRET"]
    assert {name: digest(teller, name) for name in expected} == expected
    handed = held(teller, "/run/credentials")
    assert {path.rpartition("/")[2] for path in handed} == {*FILES} - {"TOKEN"}
    for user in ("nobody", "deploy"):
        assert teller.shell(f"setpriv --reuid={user} --clear-groups {READABLE % '/run /srv /var'}") == "", user


def test_every_verb(teller: Site) -> None:
    """With --debug too no verb there is says it, and what verify looks for in secrets is as it should be."""
    from tasks import namespace

    tried = {words[0] for words in EVERY}
    assert {*namespace.task_names} - NEVER <= tried
    outcomes = {words[0]: teller.invoke(*words, expect=None) for words in EVERY if words[0] in namespace.task_names}
    assert [verb for verb, outcome in outcomes.items() if CORE in said(outcome)] == []
    assert [outcomes[verb].code for verb in ("plan", "deploy", "rollback", "verify", "catalog")] == [0] * 5
    checks = {each["check"]: each["outcome"] for each in outcomes["verify"].of("check")}
    for check in ("secret_files", "environment_files", "secret_values", "unit_environment", "exposure"):
        assert checks[check] == "ok", outcomes["verify"].stdout


def test_a_restart(teller: Site) -> None:
    """What systemd starts by itself after a crash has its secrets too."""
    teller.shell("systemctl kill -s KILL 'hello@*.service'")
    assert digest(teller, "VAULTED") == digests(VALUES, " file")["VAULTED"]


def test_a_killed_run(teller: Site) -> None:
    """Killed in the middle a run leaves the new secrets where only root comes."""
    (teller.folder / "said").write_text(CORE + " anew\n")
    words = ["deploy", "--debug", "-e", json.dumps({"release_before_cutover": SLOW})]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(teller.command(*words), cwd=ROOT, env=teller.env, text=True, **pipes) as run:
        until = time.monotonic() + 60
        while teller.shell("ls /srv/hello/shared") != "now" and time.monotonic() < until:
            time.sleep(0.1)
        kill_run(teller)
        shown = run.communicate()[0]
    teller.shell("rm -f /srv/hello/shared/now; systemctl kill -s KILL 'hello-hook@*.service'")
    assert run.returncode == 4 and CORE not in shown
    left = held(teller, "/srv /var /tmp /etc /home /root")
    assert {kept for path, kept in left.items() if not path.startswith("/var/lib/carboy/blobs/")} == {"600 root"}
    assert teller.shell("stat -c '%a %U' /var/lib/carboy/blobs") == "700 root"
    assert CORE not in said(teller.invoke("deploy", "--attach", "last", "--debug", expect=None))


def test_a_fault_in_carboy(teller: Site) -> None:
    """A traceback that shows all a release is made of shows no secret."""
    arguments = teller.command("deploy", "--debug")[1:]
    done = subprocess.run(
        [sys.executable, "-c", FAULT, *arguments], cwd=ROOT, env=teller.env, capture_output=True, text=True
    )
    assert "broken: (Content(" in done.stderr and "secrets/VAULTED" in done.stderr
    assert CORE not in done.stdout + done.stderr


def test_a_rollback_brings_back_the_secrets(teller: Site) -> None:
    """The release before comes back with the form and the values that it had."""
    teller.invoke("rollback", "--to", first_release(teller), "--yes")
    assert {name: digest(teller, name) for name in FILES} == digests(FILES)


def first_release(site: Site) -> str:
    """The oldest release that is kept."""
    return site.shell("ls /srv/hello/releases | head -n 1")


def test_nothing_here_keeps_it(teller: Site) -> None:
    """This machine keeps no copy: not beside the project, not in the caches, not in the home directory."""
    places = [ROOT / ".carboy", Path(teller.env["XDG_CACHE_HOME"]) / "carboy", teller.folder]
    found = subprocess.run(["grep", "-rlaF", CORE, *map(str, places)], capture_output=True, text=True).stdout
    assert set(found.split()) == {str(teller.folder / name) for name in ("secrets.yml", "said", "password")}


def test_a_wrong_secrets_file_is_refused_without_its_words(teller: Site) -> None:
    """A file that is not a mapping of texts is named in the error, its content is not."""
    for text in (f"- {CORE}", f"A: [{CORE}]", f"{{{CORE}"):
        path = teller.folder / "wrong.yml"
        path.write_text(text)
        outcome = teller.invoke("deploy", "-e", f"app_secrets_file={path}", expect=3)
        assert "wrong.yml" in json.dumps(outcome.events) and CORE not in said(outcome)
    path.unlink()
