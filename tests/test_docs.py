"""What the documents say is compared with the code, so that neither can change without the other."""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Iterator
from contextlib import closing
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

from carboy.applier.host import Host as Machine
from carboy.catalog import encode
from carboy.cli import Verb
from carboy.declaration import RUNTIMES, VARIABLE
from carboy.fleet.job import STATES
from carboy.inventory import load
from carboy.inventory.typed import convert, expected
from carboy.settings import resolve
from tests.applier.conftest import converge
from tests.support.controller import Controller

ROOT = Path(__file__).parents[1]
DOCS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
DESIGN = (ROOT / "docs/design.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NAME = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDERS = ("`carboy/", "`roles/")
ROLES = sorted(path.stem for path in ROOT.glob("roles/*.py") if path.stem != "__init__")


def rows(text: str, columns: int) -> Iterator[list[str]]:
    """The rows of all tables with so many columns, without their heads."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == columns:
            yield cells


def prose(text: str) -> list[str]:
    """The lines that are neither code nor tables."""
    return [line for line in FENCE.sub("", text).splitlines() if not line.startswith("|")]


def own_fields(role: str) -> Iterator[tuple[Field[Any], Any]]:
    """The settings that a role has itself, with their types."""
    settings = importlib.import_module(f"roles.{role}").Settings
    kinds = get_type_hints(settings)
    return ((field, kinds[field.name]) for field in fields(settings) if not is_dataclass(kinds[field.name]))


def default(field: Field[Any]) -> Any:
    """What a setting is if nobody sets it."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return "required" if field.default is MISSING else field.default


def in_words(kind: Any) -> str:
    """A type as the page names it: without the examples that an error gives."""
    return re.sub(r" such as .*?(?= or null|$)", "", expected(kind))


def documented(role: str) -> dict[str, tuple[str, str]]:
    """Type and default of each documented setting whose name begins like the role's."""
    found = {NAME.findall(row[0])[0]: (row[1], row[2]) for row in rows(SETTINGS, 4)}
    return {name.removeprefix(f"{role}_"): told for name, told in found.items() if name.startswith(f"{role}_")}


@pytest.mark.parametrize("role", ROLES)
def test_every_setting_is_documented_and_none_is_invented(role: str) -> None:
    """The settings page has a row for each field of the role's Settings, with its type."""
    told = {name: kind for name, (kind, _) in documented(role).items()}
    assert told == {field.name: in_words(kind) for field, kind in own_fields(role)}


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_are_the_defaults(role: str) -> None:
    """A default is written as a person would write it in the inventory, and means what the code has."""
    for field, kind in own_fields(role):
        written = yaml.safe_load(documented(role)[field.name][1].strip("`"))
        assert (written if written == "required" else convert(written, kind)) == default(field), field.name


def test_no_setting_of_an_unknown_role_is_documented() -> None:
    """Each row of the tables of settings belongs to a role that there is."""
    names = [NAME.findall(row[0])[0] for row in rows(SETTINGS, 4)]
    assert [name for name in names if name.partition("_")[0] not in ROLES] == []


def test_connection_variables_are_those_that_are_read() -> None:
    """The page names each ansible_* and carboy_* variable that the code reads, and no other."""
    code = [*ROOT.glob("carboy/**/*.py"), *ROOT.glob("tests/verify/**/*.py")]
    read = {name for path in code for name in re.findall(r'"((?:ansible|carboy)_[a-z_]+)"', path.read_text())}
    told = {name for row in rows(SETTINGS, 3) for name in NAME.findall(row[0])}
    assert told == read
    assert f"| `{VARIABLE}` | {', '.join(RUNTIMES['systemd'])} |" in SETTINGS


def test_the_example_of_an_inventory_can_be_read(tmp_path: Path) -> None:
    """The inventory that the settings page shows declares what the page says."""
    [example] = [code for kind, code in FENCE.findall(SETTINGS) if kind == "yaml"]
    (tmp_path / "hosts.yml").write_text(example)
    hosts = load([tmp_path]).select(["web"])
    assert [(host.name, host.user, host.value("gunicorn_workers")) for host in hosts] == [
        (f"prod{number}", "deploy", 8) for number in (1, 2, 3)
    ]


def test_the_module_map_names_every_module() -> None:
    """The design names each module of the engine and of the roles once, and none that is gone."""
    named = [name for row in rows(DESIGN, 2) if row[0].startswith(FOLDERS) for name in _modules(*row)]
    there = {str(path.relative_to(ROOT)) for folder in ("carboy", "roles") for path in (ROOT / folder).rglob("*.py")}
    assert sorted(named) == sorted(path for path in there if not path.endswith("__init__.py"))


def _modules(place: str, words: str) -> list[str]:
    """A row is about one module, or about a folder whose modules are named in the text."""
    [path] = NAME.findall(place)
    return [f"{path}{name}.py" for name in NAME.findall(words)] if path.endswith("/") else [path]


def test_every_exit_code_is_explained() -> None:
    """The page for bad nights has a row for each exit code that a host can end with, and no other."""
    told = {NAME.findall(row[0])[0] for row in rows(OPERATIONS, 3)}
    assert {int(code) for code in told if code.isdigit()} == {*STATES, 130}


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """No relative link of a document is broken."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_verbs_that_are_named_exist(page: Path) -> None:
    """Each `invoke VERB` in a document is a verb of tasks.py."""
    from tasks import namespace

    text = page.read_text()
    typed = [*NAME.findall(FENCE.sub("", text)), *(code for _, code in FENCE.findall(text))]
    verbs = {verb for words in typed for verb in re.findall(r"\binvoke ([a-z]+(?:\.[a-z]+)?)", words)}
    assert verbs - set(namespace.task_names) == set()


def test_the_readme_sets_what_can_be_set(tmp_path: Path) -> None:
    """The settings that the README shows are accepted as they stand."""
    [example] = [code for kind, code in FENCE.findall(README) if kind == "yaml"]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"box": yaml.safe_load(example)}}}))
    [host] = load([tmp_path]).select(["box"])
    known = {role: importlib.import_module(f"roles.{role}").Settings for role in ROLES}
    assert resolve(known, host, RUNTIMES["systemd"])["app"].name == "shop"


def test_the_readme_fits_a_terminal() -> None:
    """No line of its prose is longer than 120 characters."""
    assert [line for line in prose(README) if len(line) > 120] == []


def test_the_readme_begins_with_something_to_type() -> None:
    """The first command stands within the first 15 lines."""
    assert any(line.startswith("$ ") for line in README.splitlines()[:15])


@pytest.fixture
def example() -> Iterator[dict[str, types.ModuleType]]:
    """The worked examples of CONTRIBUTING.md as modules, by the path that each names in its first line."""
    found = {code.split()[1]: code for kind, code in FENCE.findall(CONTRIBUTING) if kind == "python"}
    made = {path: types.ModuleType(path.removesuffix(".py").replace("/", ".")) for path in found}
    # dataclasses look up the names in their annotations there.
    sys.modules.update({module.__name__: module for module in made.values()})
    for path, module in made.items():
        exec(compile(found[path], path, "exec"), module.__dict__)
    yield made
    for module in made.values():
        del sys.modules[module.__name__]


def test_the_example_of_a_role_works(example: dict[str, types.ModuleType], tmp_path: Path) -> None:
    """The role in CONTRIBUTING.md takes its settings from the inventory and declares a file of that text."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {box: {motd_text: Hands off}}}")
    [host] = load([tmp_path]).select(["box"])
    role = example["roles/motd.py"]
    settings = resolve({"motd": role.Settings}, host)["motd"]
    [motd] = role.resources(host, settings)
    assert (motd.path, motd.content.text(), motd.mode) == ("/etc/motd", "Hands off\n", "0644")


def test_the_example_of_a_setting_works(example: dict[str, types.ModuleType]) -> None:
    """The check in CONTRIBUTING.md refuses what it says it refuses."""
    settings = example["roles/motd.py"].Settings
    assert list(settings(text="").validate()) != []
    assert list(settings(text="x").validate()) == []


def test_the_example_of_a_resource_works(example: dict[str, types.ModuleType], tmp_path: Path) -> None:
    """The resource in CONTRIBUTING.md reads, repairs and is right after that; what it declares can be encoded."""
    resource = example["carboy/applier/timezone.py"].Timezone("Europe/Berlin")
    assert encode(resource) == {"is": "timezone.Timezone", "zone": "Europe/Berlin"}
    (tmp_path / "etc").mkdir()
    with closing(Controller()) as controller:
        machine = Machine(controller.stream, root=str(tmp_path))
        assert converge(machine, resource) == {"zone": (None, "Europe/Berlin")}
        assert resource.drift(machine) == {}


def test_the_example_of_a_verb_works(example: dict[str, types.ModuleType]) -> None:
    """The verb in CONTRIBUTING.md is one: it has the common options and its own."""
    verb = example["tasks.py"].roles
    assert isinstance(verb, Verb)
    assert {"host", "json", "count"} <= {argument.name for argument in verb.get_arguments()}
