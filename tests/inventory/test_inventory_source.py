"""Each source is read in its own form; what Ansible would do more with it, or around it, is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carboy.errors import DeclarationError
from carboy.inventory import load
from carboy.inventory.foreign import REFUSED
from tests.inventory.oracle import Oracle

SCRIPT = """\
#!/bin/sh
echo '{"web": {"hosts": ["w1", "w2"], "vars": {"x": 1}}, "_meta": {"hostvars": {"w1": {"ansible_host": "192.0.2.1"}}}}'
"""
HARMLESS = """\
[defaults]
inventory = hosts
forks = 50
host_key_checking = False
hash_behaviour = replace
[privilege_escalation]
become = True
become_method = sudo
become_user = root
[ssh_connection]
pipelining = True
ssh_args = -C -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null
"""
PLAYBOOK = "- hosts: web\n  tasks: []\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    """The folder with these files in it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


EXPORT = "have Ansible write down what it finds: ansible-inventory -i "
YAML = "not valid YAML"


@pytest.mark.parametrize(
    ("name", "text", "what", "hint"),
    [
        ("aws.yml", "plugin: amazon.aws.aws_ec2", "the inventory plugin 'amazon.aws.aws_ec2' is not run", EXPORT),
        ("built", "{plugin: constructed, groups: {}}", "the inventory plugin 'constructed' is not run", EXPORT),
        ("hosts.toml", "[web.hosts]\nh = {}", "an inventory in TOML is not read", EXPORT),
        ("x.json", '{"_meta": {}}', "this is what ansible-inventory prints", "have it write one: add --export --yaml"),
        ("hosts.yml", "all: {hosts: {h: 1}", YAML, ""),
        ("hosts", "all: {hosts: {h: 1}", YAML, ""),
        ("hosts.yml", "[web\nh", YAML, ""),
        ("hosts.yml", "[web]\nh x", "behind a host's name stand only name=value pairs", "quote"),
        ("hosts.ini", "h x", "behind a host's name stand only name=value pairs", "quote"),
        ("hosts.yml", "all: {hosts: h}\nall: {hosts: i}", "not valid YAML: duplicated key 'all'", ""),
    ],
)
def test_refused_files(tmp_path: Path, name: str, text: str, what: str, hint: str) -> None:
    """Configurations of plugins, TOML and broken files are refused with what to do instead."""
    with pytest.raises(DeclarationError) as caught:
        load([write(tmp_path, {name: text})])
    assert caught.value.what.startswith(what)
    assert caught.value.where.startswith(f"{tmp_path}/{name}")
    assert caught.value.hint.startswith(hint)


def test_script(tmp_path: Path, oracle: Oracle) -> None:
    """A script is refused, and what the error says to do gives an inventory with the same variables."""
    script = (
        write(tmp_path, {"inventory/cloud.sh": SCRIPT, "inventory/group_vars/web.yml": "y: 2"}) / "inventory/cloud.sh"
    )
    script.chmod(0o755)
    with pytest.raises(DeclarationError, match="inventory scripts are not run") as caught:
        load([tmp_path / "inventory"])
    command = f"ansible-inventory -i {script} --list --export --yaml"
    assert f"{command} > hosts.yml" in caught.value.hint
    (tmp_path / "hosts.yml").write_text(oracle.output(*command.split()))
    ours = load([tmp_path / "hosts.yml"]).hosts
    theirs = oracle.listing([script])[1]
    assert theirs == {"w1": {"ansible_host": "192.0.2.1", "x": 1, "y": 2}, "w2": {"x": 1, "y": 2}}
    assert {name: {key: ours[name].value(key) for key in theirs[name]} for name in ours} == theirs


def test_executable_that_is_no_program(tmp_path: Path) -> None:
    """An inventory that is executable by accident is read, as Ansible reads it when it cannot be run."""
    (write(tmp_path, {"hosts": "[web]\nh x=1"}) / "hosts").chmod(0o755)
    assert load([tmp_path / "hosts"]).hosts["h"].value("x") == 1


def test_script_that_is_not_executable(tmp_path: Path) -> None:
    """Without the right to be run, its first line is a comment as any other."""
    assert load([write(tmp_path, {"hosts": "#!/bin/cat\n[web]\nh x=1"})]).hosts["h"].value("x") == 1


def test_list_of_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-i h1,h2:22,` names hosts without a file; a range there is refused, for Ansible would not unfold it."""
    monkeypatch.chdir(write(tmp_path, {"group_vars/all.yml": "x: of no list"}))
    found = load([Path("h1, h2:22,[::1]:23,")])
    assert "x" not in found.hosts["h1"].variables
    assert [(host.name, host.port) for host in found.hosts.values()] == [("h1", None), ("h2", 22), ("::1", 23)]
    assert found.groups["ungrouped"] == ("h1", "h2", "::1")
    for wrong in ("web[1:3],", "h{,}", "h:99999,"):
        with pytest.raises(DeclarationError) as caught:
            load([Path(wrong)])
        assert caught.value.where == f"-i {wrong}"
    with pytest.raises(DeclarationError, match="does not exist") as caught:
        load([tmp_path / "h1"])
    assert "-i web1," in caught.value.hint


@pytest.mark.parametrize("inventory", ["inventory/hosts", "inventories/prod/hosts"])
@pytest.mark.parametrize("sign", [{"site.yml": PLAYBOOK}, {"ansible.cfg": ""}, {"roles/web/x": ""}])
def test_variables_beside_a_playbook(tmp_path: Path, inventory: str, sign: dict[str, str]) -> None:
    """Ansible reads group_vars beside a playbook too: refused until the command in the error shows them to both."""
    write(tmp_path, {inventory: "[web]\nh", "group_vars/web.yml": "x: 1"} | sign)
    source = tmp_path / inventory
    with pytest.raises(DeclarationError, match="group_vars beside a playbook are not read") as caught:
        load([source])
    assert caught.value.where == f"{tmp_path}/group_vars"
    subprocess.run(caught.value.hint.partition("too: ")[2].split(), check=True)
    assert load([source]).hosts["h"].value("x") == 1


def test_variables_that_a_playbook_shares(tmp_path: Path) -> None:
    """The folder beside the playbook may itself be the link."""
    write(tmp_path, {"inventory/hosts": "h", "inventory/group_vars/all.yml": "x: 1", "site.yml": PLAYBOOK})
    (tmp_path / "group_vars").symlink_to("inventory/group_vars")
    assert load([tmp_path / "inventory"]).hosts["h"].value("x") == 1


def test_variables_of_another_inventory(tmp_path: Path) -> None:
    """The group_vars of a folder above that holds no playbook are none of this inventory's."""
    write(
        tmp_path,
        {"inventories/prod/hosts": "h", "inventories/group_vars/all.yml": "x: 1", "inventories/other.yml": "all:"},
    )
    assert "x" not in load([tmp_path / "inventories/prod/hosts"]).hosts["h"].variables


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ("[defaults]\nremote_user = deploy ; us", "ansible_user=deploy"),
        ("[defaults]\nremote_port = 2222", "ansible_port=2222"),
        ("[defaults]\nprivate_key_file = ~/key", "ansible_ssh_private_key_file=~/key"),
        ("[privilege_escalation]\nbecome_user = app", "ansible_become_user=root"),
        ("[privilege_escalation]\nbecome_method = su", "ansible_become_method=sudo"),
        ("[ssh_connection]\nssh_args = -o ControlPersist=60s -J bastion", "ansible_ssh_common_args='-J bastion'"),
        ("[ssh_connection]\nssh_common_args = -o ProxyCommand=x", "ansible_ssh_common_args='-o ProxyCommand=x'"),
    ],
)
def test_connection_of_ansible_cfg(tmp_path: Path, config: str, variable: str) -> None:
    """What an ansible.cfg says of every connection must stand in the inventory: it alone is asked."""
    write(tmp_path, {"ansible.cfg": config, "inventory/hosts": "h\nlocalhost ansible_connection=local"})
    source = tmp_path / "inventory" / "hosts"
    with pytest.raises(DeclarationError, match="says how to connect to h") as caught:
        load([source]).select(["h"])
    assert caught.value.hint.startswith(f"say it as {variable.partition('=')[0]} ")
    assert load([source]).select(["localhost"])
    source.write_text(f"h {variable}")
    assert load([source]).hosts["h"]


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("[defaults]\nhash_behaviour = merge", "ansible.cfg sets hash_behaviour"),
        ("[inventory]\nignore_patterns = old", "ansible.cfg sets ignore_patterns"),
        ("[defaults]\nforce_valid_group_names = always", "ansible.cfg sets force_valid_group_names"),
        ("remote_user = x", "not to be read: File contains no section headers."),
    ],
)
def test_reading_of_ansible_cfg(tmp_path: Path, config: str, what: str) -> None:
    """An ansible.cfg that makes Ansible read inventories in another way is refused."""
    with pytest.raises(DeclarationError) as caught:
        load([write(tmp_path, {"ansible.cfg": config, "hosts": "h"})])
    assert caught.value.what.startswith(what)


def test_harmless_ansible_cfg(tmp_path: Path) -> None:
    """An ansible.cfg that says nothing of where to connect, or as whom, is passed over."""
    assert load([write(tmp_path, {"ansible.cfg": HARMLESS, "hosts": "h"})]).select(["h"])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_foreign_connection_variables(tmp_path: Path, name: str) -> None:
    """A variable that would lead Ansible elsewhere, and that Carboy does not follow, is refused where it is written."""
    source = write(tmp_path, {"hosts": f"h {name}=x\ni"})
    with pytest.raises(DeclarationError, match=f"{name} is not followed here") as caught:
        load([source]).select(["h"])
    assert caught.value.where == f"{tmp_path}/hosts: [ungrouped] h {name}, line 1 (host h)"
    assert load([source]).select(["i"])


def test_nothing_is_imported_for_yaml() -> None:
    """An inventory in YAML waits for none of what only the INI form, patterns or an ansible.cfg need."""
    program = "import sys; from carboy.inventory import load; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    spared = {"carboy.inventory.ini_source", "carboy.inventory.ansible_cfg", "configparser", "difflib"}
    assert spared & set(loaded) == set()
