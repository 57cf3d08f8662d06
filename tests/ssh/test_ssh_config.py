"""ssh's own configuration, read as ssh reads it, on a real sshd; the inventory wins over it."""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from select import select

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.errors import CarboyError, DeclarationError, UnreachableError
from carboy.inventory import Host
from carboy.ssh import options
from carboy.ssh.connection import Connection
from carboy.ssh.endpoint import DEFAULT_SECONDS, endpoint
from tests.support.sshd import Sshd, keygen, sshd

ME = getpass.getuser()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sshd]]:
    """Three servers that let in one key: a host and two jumps."""
    folder = tmp_path_factory.mktemp("servers")
    keygen(folder / "id")
    with ExitStack() as stack:
        made = [stack.enter_context(sshd(folder / name)) for name in ("host", "near", "far")]
        for server in made:
            server.let_in(folder / "id")
        yield made


@pytest.fixture
def configure(home: Path, servers: list[Sshd]) -> Callable[[str], None]:
    """Writes ~/.ssh/config; the names host, near and far are known, with ports, the key and pinned keys."""
    names = ("host", "near", "far")
    blocks = [f"Host {name}\n HostName 127.0.0.1\n Port {made.port}" for name, made in zip(names, servers, strict=True)]
    identity = f"Host *\n IdentityFile {servers[0].folder.parent}/id\n User {ME}\n"
    (home / ".ssh/known_hosts").write_text("".join(made.line() for made in servers))

    def configure(text: str) -> None:
        (home / ".ssh/config").write_text("\n".join([text, *blocks, identity]))

    return configure


def host(address: str = "host", **variables: object) -> Host:
    """A host of the inventory of which nothing is said but its address."""
    return Host("box", {"ansible_host": address, "ansible_become": False, **variables}, {})


def asked(made: Host, command: str = "echo $SSH_CONNECTION") -> str:
    """What a command says over a connection."""
    with Connection(made) as connection:
        return str(connection.start(command).makefile("rb").read().decode())


def refusal(made: Host) -> CarboyError:
    """The error with which a connection ends."""
    with pytest.raises(CarboyError) as caught, Connection(made):
        pass
    return caught.value


def test_a_host_that_only_the_configuration_knows(configure: Callable[[str], None], servers: list[Sshd]) -> None:
    """HostName, Port, User and IdentityFile are all found under the address that the inventory names."""
    configure("")
    assert asked(host()).split()[3] == str(servers[0].port)


def test_the_inventory_wins(configure: Callable[[str], None], servers: list[Sshd]) -> None:
    """Port and user of the inventory count, where the configuration has others; what it does not say is still taken."""
    configure("Host host\n Port 1\n User nobody-here\n ConnectTimeout 7")
    made = host(ansible_port=servers[0].port, ansible_user=ME)
    assert asked(made).split()[3] == str(servers[0].port)
    assert (endpoint(made).timeout, endpoint(host(ansible_timeout=3)).timeout) == (7, 3)
    configure("Host host\n ConnectTimeout 0")
    assert endpoint(host()).timeout == DEFAULT_SECONDS, "to ssh it is no limit"


def test_include_and_match(configure: Callable[[str], None], home: Path, servers: list[Sshd]) -> None:
    """Include and every Match that ssh knows are evaluated, exec among them."""
    (home / "more").write_text(
        f'Match originalhost other exec "test %n = other"\n HostName 127.0.0.1\n Port {servers[0].port}\n'
    )
    configure(f"Include {home}/more")
    assert asked(host("other")).split()[3] == str(servers[0].port)


@pytest.mark.parametrize("jumps", ["near", "near,far"])
def test_jumps(configure: Callable[[str], None], servers: list[Sshd], jumps: str) -> None:
    """One jump, or two in a row: each is looked up, known and logged in to by itself."""
    configure(f"Host host\n ProxyJump {jumps}")
    before = [server.logins() for server in servers]
    assert asked(host()).split()[3] == str(servers[0].port)
    through = [1, 1, len(jumps.split(",")) - 1]
    assert [server.logins() - count for server, count in zip(servers, before, strict=True)] == through


def test_a_jump_that_needs_a_jump(configure: Callable[[str], None], servers: list[Sshd]) -> None:
    """The jump's own block may have a ProxyJump, which counts too."""
    configure("Host host\n ProxyJump near\nHost near\n ProxyJump far")
    before = servers[2].logins()
    asked(host())
    assert servers[2].logins() == before + 1


@pytest.mark.parametrize("name", ["near", "far"])
def test_a_jump_that_nobody_knows(configure: Callable[[str], None], home: Path, servers: list[Sshd], name: str) -> None:
    """A jump's host key is checked as the host's own: unknown, the way ends there, and the error names the jump."""
    configure("Host host\n ProxyJump far,near")
    unknown = servers[1 if name == "near" else 2]
    lines = (home / ".ssh/known_hosts").read_text().splitlines(keepends=True)
    (home / ".ssh/known_hosts").write_text("".join(line for line in lines if f":{unknown.port} " not in line))
    before = unknown.logins()
    error = refusal(host())
    assert f"host key of the jump {name} to box is not known" in error.what
    assert "invoke trust --host box" in error.hint
    assert unknown.logins() == before


def test_jumps_in_a_circle(configure: Callable[[str], None]) -> None:
    """A jump that leads to itself is an error, before anything is contacted."""
    configure("Host *\n ProxyJump near")
    error = refusal(host())
    assert isinstance(error, DeclarationError)
    assert "in a circle" in error.what and "ProxyJump none" in error.hint


def test_a_jump_that_does_not_get_on(configure: Callable[[str], None]) -> None:
    """Where the jump cannot reach the host, the error says who failed to reach whom."""
    configure("Host host\n ProxyJump near\n Port 1")
    error = refusal(host())
    assert "the jump near to box does not get on to 127.0.0.1 port 1" in error.what


def test_a_proxy_command(configure: Callable[[str], None], servers: list[Sshd], home: Path) -> None:
    """A program of the configuration is the line, with ssh's tokens filled in; it is ended with the connection."""
    config = home / ".ssh/config"
    configure(f"Host host\n ProxyCommand ssh -F {config} -o UserKnownHostsFile={home}/.ssh/known_hosts -W %h:%p near")
    before = servers[1].logins()
    assert asked(host()).split()[3] == str(servers[0].port)
    assert servers[1].logins() == before + 1


def test_a_proxy_command_of_many_processes(configure: Callable[[str], None], tmp_path: Path) -> None:
    """Nothing that it has started stays behind, nor what does not listen when it is asked to end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    stubborn = f"sh -c 'trap \"\" TERM; exec sleep 1000' 9>{fifo}"
    configure(f"Host host\n ProxyCommand {stubborn} | sleep 1000 9>{fifo}\n ConnectTimeout 1")
    # Its end is read as soon as nobody holds the other one.
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert "no answer within 1 s" in refusal(host()).what
    assert select([reading], [], [], 10)[0] and os.read(reading, 1) == b""
    os.close(reading)


def test_a_proxy_command_that_fails(configure: Callable[[str], None]) -> None:
    """Its own words are the error, at once."""
    configure("Host host\n ProxyCommand sh -c 'echo no way out >&2; exit 3'")
    error = refusal(host())
    assert "ProxyCommand ended" in error.what and "no way out" in error.what


def test_ansible_arguments(configure: Callable[[str], None], servers: list[Sshd], home: Path, tmp_path: Path) -> None:
    """-J, -o ProxyJump and -F in Ansible's variables mean what they mean to ssh."""
    configure("")
    before = servers[1].logins()
    assert asked(host(ansible_ssh_common_args="-J near"))
    assert asked(host(ansible_ssh_extra_args="-C -o ProxyJump=near -o StrictHostKeyChecking=no"))
    assert servers[1].logins() == before + 2
    (home / ".ssh/config").rename(tmp_path / "elsewhere")
    assert asked(host(ansible_ssh_args=f"-F {tmp_path / 'elsewhere'} -J near"))
    assert servers[1].logins() == before + 3


@pytest.mark.parametrize(
    ("variables", "why"),
    [({"ansible_become_user": "www-data"}, "root's to make"), ({"ansible_become_method": "doas"}, "by sudo alone")],
)
def test_only_root_and_only_by_sudo(variables: dict[str, str], why: str) -> None:
    """To become anybody else, or in another way, is refused where it is declared, with the reason."""
    with pytest.raises(DeclarationError) as caught:
        host(**variables).check()
    assert why in caught.value.hint


REFUSED = ["-L 1:b:2", "-o LocalCommand=x", "-o RevokedHostKeys=/x", "host", "-J", "-o", "-w 0", "-X'"]


@pytest.mark.parametrize("text", REFUSED)
def test_arguments_that_are_refused(text: str) -> None:
    """What Carboy would have to leave out is refused where it is declared, with the option and its variable named."""
    with pytest.raises(DeclarationError, match="ansible_ssh_common_args"):
        host(ansible_ssh_common_args=text).check()


@pytest.mark.parametrize("setting", ["RevokedHostKeys /x", "KnownHostsCommand /bin/true", "ProxyUseFdpass yes"])
def test_settings_that_are_refused(configure: Callable[[str], None], setting: str) -> None:
    """What would weaken or change the connection if it were left out is an error, and nothing is contacted."""
    configure(f"Host host\n {setting}")
    error = refusal(host())
    assert error.exit_code == 3 and setting.split()[0].lower() in error.what


@pytest.mark.parametrize("setting", ['UserKnownHostsFile "/a b/c"', "GlobalKnownHostsFile known"])
def test_files_that_could_be_any(configure: Callable[[str], None], setting: str) -> None:
    """A name with a blank, which ssh tells as two, or one that depends on where Carboy is called, is refused."""
    configure(setting)
    error = refusal(host())
    assert isinstance(error, DeclarationError) and "no whole path" in error.what


def test_a_configuration_that_ssh_refuses(configure: Callable[[str], None]) -> None:
    """ssh's own words with file and line are the error."""
    configure("Host host\n Prot 5")
    error = refusal(host())
    assert error.exit_code == 3 and "line 2" in error.what and "prot" in error.what.lower()


def test_strict_host_key_checking_is_never_weaker(configure: Callable[[str], None], home: Path) -> None:
    """Whatever the configuration allows, an unknown key is refused; keys that go nowhere are kept all the same."""
    configure("Host host\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null")
    assert asked(host())
    (home / ".ssh/known_hosts").unlink()
    assert "is not known" in refusal(host()).what


def test_known_hosts_of_the_configuration(configure: Callable[[str], None], home: Path, servers: list[Sshd]) -> None:
    """UserKnownHostsFile and HostKeyAlias say where and under which name the key is looked for."""
    configure(f"Host host\n UserKnownHostsFile {home}/a {home}/b\n HostKeyAlias prod")
    (home / "b").write_text(servers[0].line(name="prod"))
    assert asked(host())
    (home / "b").write_text(servers[0].line())
    error = refusal(host())
    assert isinstance(error, UnreachableError) and "prod in known_hosts" in error.where


def test_without_ssh(configure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a configuration and no ssh to read it, that is an error; without one, ssh is not needed."""
    configure("")
    monkeypatch.setenv("PATH", "")
    assert "no ssh on this machine" in refusal(host()).what


@given(
    st.lists(st.sampled_from(["-J", "-o", "-C", "-F", "-oPort=1", "x", "-vv", "-L", "Port 2", "'", "-", "--", "-oX=1"]))
)
def test_any_options(words: list[str]) -> None:
    """Whatever stands there is refused with ValueError, or taken; what was taken is taken again as it is."""
    try:
        taken = options.words(" ".join(words))
    except ValueError:
        return
    assert options.words(shlex.join(taken)) == taken
