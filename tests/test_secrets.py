"""The app's secrets come from where the inventory says, once a run, and as files they are the app's alone."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.inventory.sealed import HIDDEN
from carboy.inventory.typed import Mismatch, convert
from carboy.secrets import Source, _output
from carboy.settings import resolve
from roles.app import Settings as App
from tests.support.trees import fill

CORE = "Sentinel7f3a9c"


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing is known of earlier commands."""
    _output.cache_clear()


def app(folder: Path, **variables: Any) -> tuple[Host, App]:
    """A host, and the settings of its app."""
    fill(folder / "source", {"app.py": "", "requirements.txt": "flask\n"})
    common = {"app_wsgi": "app:app", "app_name": "hello", "app_source": str(folder / "source")}
    host = Host("box", {**common, **variables}, {})
    return host, resolve({"app": App}, host)["app"]


def values(folder: Path, sources: dict[str, Any], **variables: Any) -> dict[str, str]:
    """The secrets that the sources give."""
    host, settings = app(folder, app_secrets=sources, **variables)
    return {name: str(value) for name, value in settings.secret_values(host).items()}


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, a variable of this process, a program, a line for the shell, and a file, together."""
    monkeypatch.setenv("A_VARIABLE", "from env\n")
    (tmp_path / "secrets.yml").write_text("E: of a file\n")
    sources = {
        "A": "text",
        "B": {"env": "A_VARIABLE"},
        "C": {"command": ["printf", "%s\\n\\n", "a  b"]},
        "D": {"command": "echo x | tr x $0"},
    }
    found = values(tmp_path, sources, app_secrets_file=str(tmp_path / "secrets.yml"))
    assert found == {"A": "text", "B": "from env\n", "C": "a  b\n", "D": "s", "E": "of a file"}


def test_a_command_runs_once(tmp_path: Path) -> None:
    """However many hosts and apps name it: once a run, and only for who asks."""
    command = {"command": ["sh", "-c", f"echo x >>{tmp_path}/ran; echo {CORE}"]}
    for _ in range(3):
        host, settings = app(tmp_path, app_secrets={"A": command, "B": command})
        assert not (tmp_path / "ran").exists() or _
        assert settings.secret_values(host) == {"A": CORE, "B": CORE}
    assert (tmp_path / "ran").read_text() == "x\n"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"env": "NOT_THERE"}, "the environment variable NOT_THERE is not set here, or empty"),
        ({"command": f"echo {CORE}; echo {CORE} >&2; exit 3"}, "its command failed (exit 3)"),
        ({"command": ["sh", "-c", f"echo {CORE} >&2"]}, "its command says nothing"),
        ({"command": ["/not/there"]}, "its command cannot be run: No such file or directory"),
        ({"command": [f"a\0{CORE}"]}, "its command cannot be run: no command"),
        ({"command": "printf '\\377'; : " + CORE}, "what its command says is not UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_had(tmp_path: Path, source: Any, why: str) -> None:
    """One error with the name and the place, exit code 3, and nothing of what was said, in no traceback either."""
    with pytest.raises(DeclarationError) as caught:
        values(tmp_path, {"TOKEN": source})
    assert (caught.value.what, caught.value.where) == (f"no secret TOKEN: {why}", "app_secrets (host box)")
    assert caught.value.exit_code == 3 and caught.value.hint
    assert CORE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "source",
    [
        *(1, True, None, [], {}, ["a"], {"env": ""}, {"env": 1}, {"command": []}, {"command": " "}, {"other": "x"}),
        *({"env": "A", "command": "b"}, {"command": ["a", 1]}),
    ],
)
def test_what_is_no_source(source: Any) -> None:
    """Anything else is refused by its type, with the forms there are."""
    with pytest.raises(Mismatch, match="VARIABLE"):
        convert({"A": source}, dict[str, Source])


def test_one_name_has_one_source(tmp_path: Path) -> None:
    """A secret that is in the file too is refused: nobody could say which one counts."""
    (tmp_path / "secrets.yml").write_text("A: x\n")
    with pytest.raises(DeclarationError, match=r"A is in .*secrets\.yml too"):
        values(tmp_path, {"A": "y"}, app_secrets_file=str(tmp_path / "secrets.yml"))


@pytest.mark.parametrize("name", ["TO KEN", "CARBOY_X", "GUNICORN_CMD_ARGS"])
def test_names_that_no_secret_can_have(tmp_path: Path, name: str) -> None:
    """The names that a variable cannot have, a secret cannot have."""
    with pytest.raises(DeclarationError, match="app_secrets"):
        app(tmp_path, app_secrets={name: "x"})


@pytest.mark.parametrize(
    ("secrets", "environment", "what"),
    [
        ({"environment": "x"}, {}, "no secret can be called environment"),
        ({"A": "x"}, {"A_FILE": "y"}, "A_FILE says where the secret A is"),
        ({"A": "x", "A_FILE": "y"}, {}, "A_FILE says where the secret A is"),
    ],
)
def test_names_that_are_taken(tmp_path: Path, secrets: dict[str, str], environment: dict[str, str], what: str) -> None:
    """As files secrets bring variables of their own, which nothing else may be called; as variables they do not."""
    host, settings = app(tmp_path, app_secrets=secrets, app_environment=environment, app_secrets_as="files")
    with pytest.raises(DeclarationError, match=what) as caught:
        settings.kept(host, "0600")
    assert caught.value.exit_code == 3
    host, settings = app(tmp_path, app_secrets=secrets, app_environment=environment)
    assert list(settings.kept(host, "0600")) == ["environment"]


@pytest.mark.parametrize(("runtime", "mode"), [("systemd", "0600"), ("cron", "0440"), ("compose", "0440")])
def test_files_of_a_release(tmp_path: Path, runtime: str, mode: str) -> None:
    """As files each is one of the release with its very bytes, and the environment has none of them."""
    host, _ = app(
        tmp_path,
        app_runtime=runtime,
        app_secrets={"B": f"{CORE}\0", "A": "x"},
        app_environment={"A": "plain", "C": "c"},
        app_secrets_as="files",
    )
    catalog = declare(host).catalog
    [release] = [each for _, each in catalog.entries if each.title().startswith("release ")]
    kept = {name: file for name, file in release.files.items() if "/" not in name or name.startswith("secrets/")}
    assert {name: file[0] for name, file in kept.items() if "secret" in name} == {"secrets/A": mode, "secrets/B": mode}
    assert (kept["environment"][0], kept["environment"][1].text()) == ("0600", 'C="c"\n')
    assert kept["secrets/B"][1].text() == f"{CORE}\0"
    assert CORE not in json.dumps(catalog.wire()) + repr(catalog)


def test_settings_do_not_show_them(tmp_path: Path) -> None:
    """Printed settings name the secrets and their sources, never what they are."""
    host, settings = app(tmp_path, app_secrets={"A": CORE, "B": {"command": f"echo {CORE}"}})
    assert CORE not in repr(settings) + repr(settings.secret_values(host))
    assert "Source(kind='command')" in repr(settings) and HIDDEN in repr(settings.secret_values(host))
