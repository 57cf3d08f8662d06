"""What the role access takes and refuses, and what it declares."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import pytest

from carboy.applier.guarded import Guarded
from carboy.catalog import Content
from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Host


def key(kind: str = "ssh-ed25519", named: str = "") -> str:
    """A public key of a kind, whose bytes name that kind or another."""
    name = (named or kind).encode()
    return f"{kind} {base64.b64encode(struct.pack('>I', len(name)) + name + bytes(36)).decode()}"


ACCEPTED: dict[str, list[Any]] = {
    "access_sshd": [{}, {"MaxAuthTries": 3}, {"AllowUsers": "deploy admin"}],
    "access_sudoers": [[], ["deploy ALL=(ALL) NOPASSWD: ALL", "Defaults timestamp_timeout=5"]],
    "access_keys": [
        [],
        [key()],
        [f"{key('ssh-rsa')} me@laptop"],
        [f'from="10.0.0.0/8",command="ls -l" {key("ecdsa-sha2-nistp256")}'],
        [key("sk-ssh-ed25519@openssh.com")],
    ],
    "access_confirm": ["1s", 20, "1h"],
}
REFUSED: dict[str, list[Any]] = {
    "access_sshd": [
        {"AllowUsers": "deploy\nPermitRootLogin yes"},
        {"Port": ""},
        {"Match User": "x"},
        {"match": "User x"},
        {"Include": "/etc/x"},
        {"PermitRootLogin": False},
    ],
    "access_sudoers": [["deploy ALL=(ALL) ALL\nx ALL=(ALL) ALL"], [""], "deploy ALL=(ALL) ALL"],
    "access_keys": [
        [""],
        ["deploy"],
        [key(), "ssh-ed25519"],
        ["ssh-ed25519 AAAA"],
        ["ssh-ed25519 not+base64="],
        [key("ssh-ed25519", named="ssh-rsa")],
        ["# " + key()],
        [f"{key()}\n{key()}"],
        ["-----BEGIN OPENSSH PRIVATE KEY-----"],
    ],
    "access_firewall": ["/no/such/rules.nft"],
    "access_confirm": [0, "500ms", "2h"],
}


def host(**variables: Any) -> Host:
    """A host on which all else is right."""
    common = {"app_wsgi": "app.wsgi:app", "ansible_user": "deploy", "carboy_roles": ["access"]}
    return Host("prod1", {**common, **variables}, {})


def guarded(**variables: Any) -> list[Guarded]:
    """What the role declares to be guarded."""
    declared = declare(host(carboy_roles=["access"], **variables)).catalog
    return [resource for _, resource in declared.entries if isinstance(resource, Guarded)]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values])
def test_accepted(name: str, value: Any) -> None:
    """What sshd, sudo or the host could mean something by is not refused."""
    declare(host(**{name: value}))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_refused(name: str, value: Any) -> None:
    """What cannot be right is refused with the name of the setting, before anything is contacted."""
    with pytest.raises(DeclarationError, match=name) as caught:
        declare(host(**{name: value}))
    assert caught.value.exit_code == 3


def test_nothing_set_is_nothing_declared() -> None:
    """What is not named stays as it is on the host."""
    assert guarded() == []


def test_everything_is_one_guarded_change(tmp_path: Path) -> None:
    """All that is set goes in together, each file as a whole, and with the time to confirm."""
    rules = tmp_path / "rules.nft"
    rules.write_text("flush ruleset\n")
    [found] = guarded(
        access_sshd={"MaxAuthTries": "3", "X11Forwarding": "no"},
        access_sudoers=["deploy ALL=(ALL) NOPASSWD: ALL"],
        access_keys=[key()],
        access_firewall=str(rules),
        access_confirm="5s",
    )
    contents = [getattr(part.resource, "content", None) for part in found.parts]
    texts = [content.text() for content in contents if isinstance(content, Content)]
    assert found.seconds == 5
    assert texts == [
        f"# Written by Carboy.\n{key()}\n",
        "# Written by Carboy.\ndeploy ALL=(ALL) NOPASSWD: ALL\n",
        "# Written by Carboy.\nMaxAuthTries 3\nX11Forwarding no\n",
        "flush ruleset\n",
    ]
