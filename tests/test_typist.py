"""What tests type into a warm process is what a person types into a cold one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.typist import INVOKE, ROOT, typist

COMMANDS = {
    "all verbs": ["--list"],
    "the options of one": ["--help", "deploy"],
    "what would travel": ["catalog", "--host", "one"],
    "an error": ["plan", "--host", "none"],
    "an error for programs": ["status", "--host", "none", "--json"],
    "nobody there": ["deploy", "--host", "one"],
    "a home": ["plan", "--host", "one", "-e", "ansible_ssh_private_key_file=~/none"],
    "no verb": ["deplyo"],
}
HOSTS = "all: {hosts: {one: {ansible_host: 127.0.0.1, ansible_port: 1, app_wsgi: 'app.wsgi:app', app_source: %s}}}"


@pytest.mark.parametrize("kind", COMMANDS)
def test_typed_as_by_a_person(kind: str, tmp_path: Path) -> None:
    """Exit code, stdout and stderr are the same, and so is the home that the environment names."""
    (tmp_path / "hosts.yml").write_text(HOSTS % ROOT)
    verb, *options = COMMANDS[kind]
    inventory = ["-i", str(tmp_path / "hosts.yml")] if "--host" in options else []
    words, environment = [verb, *inventory, *options], {**os.environ, "HOME": str(tmp_path), "COLUMNS": "100"}
    command = [INVOKE, *words]
    cold = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert typist().type(words, environment) == (cold.returncode, cold.stdout, cold.stderr)
    assert cold.stdout or cold.stderr
    assert kind != "a home" or f"{tmp_path}/none" in cold.stderr
