"""The file that brings environment and secrets to the app: every value survives, and no error shows one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carboy.environment import content, files
from carboy.errors import DeclarationError
from carboy.inventory.sealed import Secret
from carboy.sandbox import ContainerHost
from carboy.secrets import values
from tests.support.hosts import systemd_host as systemd_host

WHERE = "hosts.yml: app_secrets_file"
SENTINEL = "hunter2"
CODES = [*range(32, 256), 0x2028, 0xE000, 0xFEFF, 0x1F680]
REFUSED = [0, 1, 13, 27, 0xD800, 0xFDD0, 0xFFFE, 0x10FFFF]
VALUES = {
    "PLAIN": "text",
    "EMPTY": "",
    "QUOTES": 'it\'s "so"',
    "DOLLAR": "$HOME ${HOME} $$",
    "BACKSLASH": "a\\nb\\",
    "BACKTICK": "`id`",
    "LINES": "one\ntwo\n",
    "TAB": "a\tb",
    "REMARK": "# no remark; nor this",
    "EDGES": "  between spaces  ",
    "PERCENT": "%i %%",
    "WIDE": "größe 🚀",
}


def of_file(path: Path) -> dict[str, Secret]:
    """The secrets in a file of this machine."""
    return values({}, path, where="", file_where=WHERE)


def parsed(text: str) -> dict[str, str]:
    """What systemd makes of a file in which every value stands in double quotes: systemd.exec(5), EnvironmentFile=."""
    found, rest = {}, text
    while rest:
        name, _, rest = rest.partition('="')
        value = ""
        while rest[0] != '"':
            # Within double quotes a backslash keeps the next character as it is.
            value, rest = (value + rest[1], rest[2:]) if rest[0] == "\\" else (value + rest[0], rest[1:])
        assert rest.startswith('"\n'), "a value ends with its line"
        found[name], rest = value, rest[2:]
    return found


def test_the_form_is_fixed() -> None:
    """Sorted lines of NAME="value", with a backslash before each character that means something within quotes."""
    assert content({"B": 'a"$\\`', "A": ""}, WHERE).text() == 'A=""\nB="a\\"\\$\\\\\\`"\n'


@pytest.mark.parametrize("name", VALUES)
def test_values_survive(name: str) -> None:
    """Quotes, dollars, backslashes, line breaks, remarks, spaces at the edges: nothing is lost or expanded."""
    assert parsed(content(VALUES, WHERE).text())[name] == VALUES[name]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=20)))
def test_any_value_survives_or_is_refused(values: dict[str, str]) -> None:
    """No value can become another variable or another value; what systemd could not pass on is an error."""
    try:
        assert parsed(content(values, WHERE).text()) == values
    except DeclarationError:
        assert any(ord(character) < 32 or ord(character) > 0xD7FF for value in values.values() for character in value)


@pytest.mark.parametrize("code", REFUSED, ids=hex)
def test_what_systemd_does_not_take_is_refused(code: int) -> None:
    """Control characters and what is no character: the variable is named, its value is not."""
    with pytest.raises(DeclarationError, match="the value of TOKEN") as caught:
        content({"TOKEN": SENTINEL + chr(code)}, WHERE)
    assert SENTINEL not in str(caught.value)


def test_a_secret_in_a_file_that_is_no_text_is_refused() -> None:
    """A variable that is not UTF-8 reaches us with surrogates: the secret is named, its value is not."""
    with pytest.raises(DeclarationError, match="the value of TOKEN is not UTF-8") as caught:
        files({}, {"TOKEN": Secret(SENTINEL + "\udcff")}, where=WHERE, mode="0400")
    assert SENTINEL not in str(caught.value)


def test_secrets_join_and_win(tmp_path: Path) -> None:
    """The secrets file adds variables, and wins over a plain one of the same name."""
    secrets = tmp_path / "secrets.yml"
    secrets.write_text("TOKEN: hunter2\nBOTH: secret\n")
    [(mode, kept)] = files({"BOTH": "plain", "A": "a"}, of_file(secrets), where=WHERE).values()
    assert mode == "0600"
    assert parsed(kept.text()) == {
        "A": "a",
        "BOTH": "secret",
        "TOKEN": "hunter2",
    }


BAD_SECRETS = {
    "a list": "- hunter2\n",
    "a text": "hunter2\n",
    "empty": "",
    "a number": "TOKEN: 42\nOTHER: hunter2\n",
    "nested": "TOKEN: {a: hunter2}\n",
    "a name that is no text": "1: hunter2\n",
    "not YAML": "TOKEN: 'hunter2\n",
    "a tab": "TOKEN:\n\t- hunter2\n",
    "an unsafe tag": "TOKEN: !!python/object/apply:os.system [hunter2]\n",
    "a name with a space": '"TO KEN": hunter2\n',
    "a name that ends the line": '"A=\\"\\"\\nB": hunter2\n',
    "an empty name": '"": hunter2\n',
    "a name twice": "TOKEN: hunter2\nTOKEN: hunter3\n",
    "a name of Carboy's": "CARBOY_RELEASE: hunter2\n",
    "gunicorn's arguments": "GUNICORN_CMD_ARGS: hunter2\n",
}


@pytest.mark.parametrize("kind", BAD_SECRETS)
def test_a_bad_secrets_file_never_shows_a_value(tmp_path: Path, kind: str) -> None:
    """Whatever is wrong with the file: one error with its place, and nothing of what it holds, not even in a cause."""
    secrets = tmp_path / "secrets.yml"
    secrets.write_text(BAD_SECRETS[kind])
    with pytest.raises(DeclarationError) as caught:
        of_file(secrets)
    assert (caught.value.where, caught.value.exit_code) == (WHERE, 3)
    assert SENTINEL not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_secrets_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A missing file, or a folder, is named, and told with its place in the inventory."""
    with pytest.raises(DeclarationError, match=f"the secrets file {tmp_path / name}: cannot be read") as caught:
        of_file(tmp_path / name)
    assert caught.value.where == WHERE


def test_a_secrets_file_in_another_encoding(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error, not a traceback."""
    secrets = tmp_path / "secrets.yml"
    secrets.write_bytes(b"TOKEN: gr\xfc\xdfe")
    with pytest.raises(DeclarationError, match="not UTF-8"):
        of_file(secrets)


def test_systemd_reads_what_was_written(systemd_host: ContainerHost) -> None:
    """A service of a real systemd gets every value as it was declared, whatever characters are in it."""
    values = {**VALUES, **{f"CHARACTER_{code}": f"a{chr(code)}b{chr(code)}" for code in CODES}}
    written = base64.b64encode(content(values, WHERE).text().encode()).decode()
    service = "systemd-run --quiet --wait --pipe -p EnvironmentFile=/run/probe.env env -0"
    read = systemd_host.container.shell(f"echo {written} | base64 -d >/run/probe.env; {service} | base64 -w 0")
    passed = base64.b64decode(read).decode().split("\0")
    assert {name: value for name, _, value in (line.partition("=") for line in passed) if name in values} == values
