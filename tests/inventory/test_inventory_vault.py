"""What Ansible Vault has encrypted is read as Ansible reads it, late and once, and no error tells a word of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Inventory, load, parse_extra
from carboy.inventory.passwords import Password, named
from carboy.inventory.sealed import Hidden, Sealed
from carboy.inventory.vault import KEYRING, Keyring
from carboy.settings import resolve
from roles.app import Settings as App
from tests.support import vaults

CORE = "Sentinel7f3a9c"
PASSWORDS = {"default": "hunter2", "prod": "größe with spaces", "other": "unused"}
TEXTS = {
    "plain": CORE,
    "empty": "",
    "lines": f"{CORE}\nsecond\n",
    "braces": f"{CORE} {{{{ other }}}}",
    "wide": f"{CORE} 🚀 ü",
    "block": CORE.ljust(16, "."),
    "long": CORE * 1000,
    "number": "4711",
}
FILES = {
    "group_vars/all/secret.yml": f"from_file: {CORE}\nnumber: 471147114711\nshare: 0.25\nlist: [{CORE}, 1, true]\n",
    "host_vars/h.json": json.dumps({"from_json": {"a": CORE}}),
    "extra.yml": f"extra: {CORE}\nreads: '{{{{ from_file }}}}'\n",
    "hosts": f"[web]\nh ini={CORE}\n",
}
BLOCK = re.compile(r"=> (\{.*?^\})", re.MULTILINE | re.DOTALL)

Texts = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def encrypted() -> Texts:
    """Texts and files as Ansible's own code encrypts them, by name and label."""
    wanted = [(name, label) for name in (*TEXTS, *FILES) for label in ("default", "prod")]
    made = vaults.encrypted([(label, PASSWORDS[label], {**TEXTS, **FILES}[name]) for name, label in wanted])
    return dict(zip(wanted, made, strict=True))


@pytest.fixture(autouse=True)
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """The keyring of this process, empty."""
    monkeypatch.setattr(KEYRING, "passwords", [])
    monkeypatch.setattr(KEYRING, "_opened", {})
    return KEYRING


@pytest.fixture
def give(keyring: Keyring, tmp_path: Path) -> Callable[..., None]:
    """Gives passwords by their labels, as files."""

    def given(*labels: str) -> None:
        for label in labels:
            path = tmp_path / f"password-{label}"
            path.write_text(PASSWORDS[label] + "\n")
            keyring.passwords.append(Password(label, str(path)))

    return given


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The salts of all keys that were derived."""
    salts: list[bytes] = []
    real = hashlib.pbkdf2_hmac

    def derive(name: str, password: bytes, salt: bytes, *rest: int) -> bytes:
        salts.append(salt)
        return real(name, password, salt, *rest)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", derive)
    return salts


def tagged(text: str) -> str:
    """An encrypted text as a value of YAML."""
    return "!vault |\n" + indent(text, "        ")


def inventory(folder: Path, hosts: str, **variables: str) -> Inventory:
    """An inventory of some hosts with these variables, written as they are."""
    lines = "".join(f"\n    {name}: {value}" for name, value in variables.items())
    listed = "".join(f"\n    {name}:" for name in hosts.split())
    (folder / "hosts.yml").write_text(f"all:\n  vars:{lines}\n  hosts:{listed}\n")
    return load([folder / "hosts.yml"])


def said(error: BaseException) -> str:
    """All that a person could read of an error, the traceback too."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


@pytest.mark.parametrize("label", ["default", "prod"])
@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_ansible(encrypted: Texts, give: Callable[..., None], name: str, label: str) -> None:
    """Each text that Ansible encrypts, with a label and without, comes back to the byte."""
    give("prod", "default")
    assert str(KEYRING.open(encrypted[name, label], "here")) == TEXTS[name]


def test_the_same_variables_as_ansible(encrypted: Texts, give: Callable[..., None], tmp_path: Path) -> None:
    """Encrypted values, files of variables, an INI inventory and -e @file give Ansible's values."""
    give("prod", "default")
    for number, name in enumerate(FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(encrypted[name, ("prod", "default")[number % 2]])
    values = {name: tagged(encrypted[name, "prod"]) for name in TEXTS}
    (tmp_path / "host_vars/h").mkdir(exist_ok=True)
    lines = [f"{name}: {value}" for name, value in values.items()]
    (tmp_path / "host_vars/h/v.yml").write_text("\n".join([*lines, "other: filled", "refers: '{{ plain }}'", ""]))
    names = [*TEXTS, "from_file", "number", "share", "list", "extra", "reads", "ini", "refers"]
    ids = [f"--vault-id={each.label}@{each.source}" for each in KEYRING.passwords]
    command = ["ansible", "adhoc", "h", "-i", "hosts", "-c", "local", "-e", "@extra.yml", *ids]
    command += ["-m", "debug", "-a", f"msg={{{{ [{', '.join(names)}] }}}}"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    expected = json.loads(BLOCK.search(done.stdout)[1])["msg"]  # type: ignore[index]
    [host] = load([tmp_path / "hosts"], parse_extra([f"@{tmp_path}/extra.yml"])).select(["h"])
    assert [json.loads(json.dumps(host.value(name))) for name in names] == expected
    assert [name for name in names if isinstance(host.value(name), (str, int, float, Sealed))] == [
        name for name in names if isinstance(host.value(name), (Hidden, Sealed))
    ]


def test_values_open_late(encrypted: Texts, tmp_path: Path, counted: list[bytes]) -> None:
    """A verb that needs no secret needs no password: the whole declaration is read without one, but for the catalog."""
    secret = tagged(encrypted["plain", "default"])
    found = inventory(
        tmp_path,
        "h",
        vault=secret,
        app_wsgi="a:b",
        app_environment="{A: '{{ vault }}', B: 'x{{ vault }}'}",
        app_secrets="{C: '{{ vault }}', D: {command: 'false'}}",
    )
    declared = declare(*found.select(["h"]))
    assert counted == []
    with pytest.raises(DeclarationError, match="there is no password") as caught:
        _ = declared.settings["app"].environment["A"].text
    assert caught.value.where == f"{tmp_path}/hosts.yml: all.vars.vault"
    assert "--vault-password-file" in caught.value.hint


def test_a_value_is_opened_once(
    encrypted: Texts, give: Callable[..., None], tmp_path: Path, counted: list[bytes]
) -> None:
    """Forty hosts with the same encrypted value and one encrypted file cost two derivations of a key."""
    give("default")
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/secret.yml").write_text(encrypted["group_vars/all/secret.yml", "default"])
    found = inventory(tmp_path, "h[1:40]", vault=tagged(encrypted["plain", "default"]))
    assert {found.hosts[f"h{n}"].value(name) for n in range(1, 41) for name in ("vault", "from_file")} == {CORE}
    assert len(counted) == 2


def test_other_hosts_are_not_opened(encrypted: Texts, tmp_path: Path, counted: list[bytes]) -> None:
    """The encrypted file of a host that is not meant needs no password."""
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/prod.yml").write_text(encrypted["extra.yml", "prod"])
    found = inventory(tmp_path, "prod staging")
    assert [host.name for host in found.select(["staging"])] == ["staging"]
    with pytest.raises(DeclarationError, match="there is no password") as caught:
        found.select(["prod"])
    assert caught.value.where == f"{tmp_path}/host_vars/prod.yml"
    assert counted == []


PROGRAM = '#!/bin/sh\nprintf "%s\\n" "$*" >>{told}\nprintf "%s\\r\\n" hunter2\n'


@pytest.mark.parametrize(
    ("content", "mode", "name"),
    [
        ("hunter2", 0o600, "file"),
        ("  hunter2 \n\n", 0o600, "file"),
        (PROGRAM, 0o700, "program"),
        (PROGRAM, 0o700, "my-client.sh"),
    ],
)
def test_passwords_of_files_and_programs(
    encrypted: Texts, tmp_path: Path, keyring: Keyring, content: str, mode: int, name: str
) -> None:
    """No white space around a file's password counts, nor line ends around a program's; a client gets the label."""
    source = tmp_path / name
    source.write_text(content.format(told=tmp_path / "told"))
    source.chmod(mode)
    keyring.passwords = named([str(source)], [f"prod@{source}"], environment={})
    assert keyring.open(encrypted["plain", "default"], "here") == keyring.open(encrypted["block", "default"], "")[:14]
    told = (tmp_path / "told").read_text().splitlines() if content is PROGRAM else []
    # Once each, and the one with the fitting label at first.
    assert told == {"program": [""], "my-client.sh": ["--vault-id default"]}.get(name, [])


def test_any_password_may_open_a_text(encrypted: Texts, give: Callable[..., None]) -> None:
    """As with Ansible the label only says where to look first."""
    give("other")
    KEYRING.passwords.append(Password("misnamed", KEYRING.passwords[0].source.replace("other", "default")))
    Path(KEYRING.passwords[1].source).write_text(PASSWORDS["default"])
    assert KEYRING.open(encrypted["plain", "default"], "here") == CORE


def test_where_passwords_are_named() -> None:
    """Ansible's environment variables, then --vault-id, --vault-password-file and --ask-vault-pass, in its order."""
    variables = {"ANSIBLE_VAULT_IDENTITY_LIST": "a@f1, f2", "ANSIBLE_VAULT_PASSWORD_FILE": "f6"}
    found = named(["f5"], ["b@f3", "c@prompt"], ask=True, environment=variables)
    assert [(each.label, each.source) for each in found] == [
        *[("a", "f1"), ("default", "f2"), ("b", "f3"), ("c", "prompt")],
        *[("default", "f5"), ("default", "f6"), ("default", "prompt")],
    ]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("missing", "the vault password file cannot be read: No such file"),
        (".", "the vault password file cannot be .*: Is a directory"),
        ("empty", "the vault password is empty"),
        ("encrypted", "the vault password file is encrypted itself"),
        ("failing", r"the vault password program failed \(exit 3\)"),
        ("broken", "the vault password file cannot be run"),
    ],
)
def test_passwords_that_cannot_be_had(
    encrypted: Texts, tmp_path: Path, keyring: Keyring, source: str, what: str
) -> None:
    """A source without a password is an error of its own, with its path, and nothing of what it said."""
    for name, text, mode in (
        ("empty", " \n", 0o600),
        ("encrypted", encrypted["plain", "default"], 0o600),
        ("failing", f"#!/bin/sh\necho {CORE}\nexit 3\n", 0o700),
        ("broken", CORE, 0o700),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    keyring.passwords = named([str(tmp_path / source)], environment={})
    with pytest.raises(DeclarationError, match=what) as caught:
        keyring.open(encrypted["plain", "default"], "here")
    assert (caught.value.exit_code, Path(caught.value.where)) == (3, tmp_path / source)
    assert CORE not in said(caught.value) and "$ANSIBLE" not in said(caught.value)


def test_without_a_terminal_nobody_is_asked() -> None:
    """Where there is nobody to ask for a password the run ends; it does not wait."""
    call = "from carboy.inventory.passwords import Password; Password('default', 'prompt').value"
    done = subprocess.run(
        [sys.executable, "-c", call], capture_output=True, text=True, start_new_session=True, timeout=60
    )
    assert "there is no terminal to ask" in done.stderr


def test_the_wrong_password(encrypted: Texts, give: Callable[..., None], tmp_path: Path) -> None:
    """One error with the file and the path of keys, the label that is wanted, and neither text."""
    give("other")
    text = encrypted["plain", "prod"]
    [host] = inventory(tmp_path, "h", app_environment="{A: '{{ v }}'}", v=tagged(text)).select(["h"])
    with pytest.raises(DeclarationError, match="the vault password does not open this") as caught:
        host.value("app_environment")
    assert caught.value.where == f"{tmp_path}/hosts.yml: all.vars.v"
    assert "'prod'" in caught.value.hint
    assert PASSWORDS["other"] not in said(caught.value) and text.splitlines()[1][:20] not in said(caught.value)


def test_an_encrypted_list_is_named_by_its_place(encrypted: Texts, tmp_path: Path) -> None:
    """The path leads to the very value inside a mapping or list."""
    text = "{a: [1, !vault " + json.dumps(encrypted["plain", "default"]) + "]}"
    [host] = inventory(tmp_path, "h", deep=text).select(["h"])
    with pytest.raises(DeclarationError) as caught:
        host.value("deep")
    assert caught.value.where == f"{tmp_path}/hosts.yml: all.vars.deep.a[1]"


MUTATIONS = st.tuples(st.integers(0, 10_000), st.sampled_from(["cut", "drop", "swap", "add"]), st.characters())


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(MUTATIONS, min_size=1, max_size=3))
def test_damaged_texts(encrypted: Texts, changes: list[tuple[int, str, str]]) -> None:
    """However a text is damaged: it opens to what it was, or is refused as wrong; nothing else escapes."""
    text = encrypted["plain", "prod"]
    for at, how, other in changes:
        place = at % max(1, len(text))
        text = {
            "cut": text[:place],
            "drop": text[:place] + text[place + 1 :],
            "swap": text[:place] + other + text[place + 1 :],
            "add": text[:place] + other + text[place:],
        }[how]
    ring = Keyring([_Known("prod", "")])
    try:
        assert ring.open(text, "here") == CORE
    except DeclarationError as error:
        assert (error.exit_code, error.where) == (3, "here")
        assert CORE not in said(error) and "hunter" not in said(error)


class _Known(Password):
    value = PASSWORDS["prod"].encode()  # type: ignore[assignment]


WRONG: dict[str, Any] = {
    "app_cpus": "{{ vault }}",
    "app_memory_max": "{{ vault }}",
    "app_server": "{{ vault }}",
    "app_include": "{{ vault }}",
    "app_health": "{{ vault }}",
    "app_listen": "x{{ vault }}x",
    "app_wsgi": "- {{ vault }}",
    "app_tasks_max": "{{ number }}",
    "app_secrets": {"A": {"env": ["{{ vault }}"]}},
}


@pytest.mark.parametrize("name", WRONG)
def test_no_error_of_a_setting_shows_a_secret(
    encrypted: Texts, give: Callable[..., None], tmp_path: Path, name: str
) -> None:
    """Whatever is wrong with a value that came out of a vault, whichever name the setting has: it is not shown."""
    give("default")
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/secret.yml").write_text(encrypted["group_vars/all/secret.yml", "default"])
    variables = {"app_wsgi": "a:b", "vault": tagged(encrypted["plain", "default"]), name: json.dumps(WRONG[name])}
    variables |= {"app_tasks_max": "'{{ list }}'"} if name == "app_tasks_max" else {}
    [host] = inventory(tmp_path, "h", **variables).select(["h"])
    with pytest.raises(DeclarationError, match=name) as caught:
        resolve({"app": App}, host)
    assert CORE not in said(caught.value) and "4711" not in said(caught.value)


def test_nothing_that_is_printed_holds_a_secret(encrypted: Texts, give: Callable[..., None], tmp_path: Path) -> None:
    """Hosts, settings and what is declared show no secret when they are printed, opened or not."""
    give("default")
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/secret.yml").write_text(encrypted["group_vars/all/secret.yml", "default"])
    [host] = inventory(
        tmp_path,
        "h",
        v=tagged(encrypted["plain", "default"]),
        app_wsgi="a:b",
        app_ref="'{{ from_file }}'",
        app_source="'x{{ v }}'",
        app_environment="{A: '{{ v }}', B: '{{ number }}', C: '{{ from_file }}'}",
        app_secrets="{D: '{{ v }}', E: '{{ from_file }}'}",
    ).select(["h"])
    app = resolve({"app": App}, host)["app"]
    assert (app.environment["A"].text, app.environment["B"], app.ref) == (CORE, "471147114711", CORE)
    assert app.secrets["E"].value("E", "here") == CORE
    shown = repr(host) + repr(app) + repr(KEYRING) + repr(vars(host)["_references"]) + repr(app.environment)
    assert CORE not in shown and "4711" not in shown
