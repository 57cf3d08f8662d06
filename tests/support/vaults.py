"""Texts as Ansible Vault encrypts them, by Ansible's own code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

ENCRYPT = """
import json, sys
from ansible.parsing.vault import VaultLib, VaultSecret
for label, password, text in json.load(sys.stdin):
    secret = VaultSecret(password.encode())
    print(json.dumps(VaultLib([(label, secret)]).encrypt(text, secret, vault_id=label).decode()))
"""


def encrypted(texts: Sequence[tuple[str, str, str]]) -> list[str]:
    """Each text, given with label and password, encrypted."""
    command = [sys.executable, "-c", ENCRYPT]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
