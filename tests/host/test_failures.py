"""Apps that are broken, each in its own way: what the deploy says of each, and that the good release serves on.

`docs/failures.md` is made of what is said here; CARBOY_UPDATE_DOCS=1 writes it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from carboy.sandbox import HostOptions
from tests.host.broken_apps import BROKEN, FIRST, GONE, GOOD, Broken
from tests.host.conftest import ROOT, Site, site
from tests.support.load import load
from tests.support.typist import typist

PAGE = ROOT / "docs/failures.md"
HEAD = """# When a deploy fails

What Carboy says of apps that are broken. `tests/host/test_failures.py` breaks them, deploys each to a host on which a
good release serves, and makes this page of what a person then sees. Each deploy exited 1, and the good release served
on, without one failed request. RELEASE and N stand for what differs from run to run.

Facts come first, each only where it tells something: the probe's answer, the unit, the app's own last words (from the
journal for a release that is tried out, from `error.log` for one that serves; tracebacks without the frames of
packages), memory, the kernel, the disks. The error names the likely cause, and `next` what to do, with the command
that shows more. What is not certain is said as "probably"; where nothing fits, no cause is named.
"""
# What differs from run to run, and what from machine to machine.
VOLATILE = (
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "RELEASE"),
    (r"\[\d{4}-\d\d-\d\d [\d:,]+\]", "[TIME]"),
    (r"\(pid:\d+\)", "(pid:N)"),
    (r"(process|vm:|rss:|MB and) ?\d+", r"\1 N"),
)
OTHER_DISKS = re.compile(r"^box  \| disk: .*(?<!0 MB and N inodes free)\n", re.MULTILINE)
# What systemd says of a socket, in an order that varies.
SOCKET = re.compile(r"^box  \| .*hello\.socket.*\n", re.MULTILINE)
# Whether the kernel's log can be read, and what systemd is told of a process that ran out of memory.
KERNEL = re.compile(
    r"^box  \| (kernel|memory): .*\n|\((protocol|signal|oom-kill)\)|it was killed, probably", re.MULTILINE
)


@dataclass
class Bench:
    """A host on which apps fail, and what was said of each."""

    site: Site
    said: dict[str, str] = field(default_factory=dict)

    def fail(self, broken: Broken) -> None:
        """Deploy a broken app as a person would, keep what is said, and put everything else back."""
        site = self.site
        requirements = site.app / "app/requirements.txt"
        good = site.variables, requirements.read_text()
        (site.app / "app/wsgi.py").write_text(broken.code)
        requirements.write_text(broken.requirements or good[1])
        site.variables = {**site.variables, **broken.variables}
        site.shell(broken.before or "true")
        try:
            _, *words = site.command("deploy")
            code, _, said = typist().type([word for word in words if word != "--json"], site.env)
        finally:
            site.shell(GONE if broken.before else "true")
            site.variables = good[0]
            requirements.write_text(good[1])
            (site.app / "app/wsgi.py").write_text(GOOD)
        assert code == 1, said
        self.said[broken.name] = stable(said[said.index("failed\n") + len("failed\n") :])


def stable(said: str) -> str:
    """What was said without what differs from run to run, such as disks that are not full."""
    for pattern, word in VOLATILE:
        said = re.sub(pattern, word, said)
    return SOCKET.sub("", OTHER_DISKS.sub("", said))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A host with a small file system, where nothing was deployed yet."""
    with site(tmp_path_factory.mktemp("site"), HostOptions(publish_http=True, tmpfs={"/small": 1})) as made:
        yield Bench(made)


def test_address_in_use_at_the_first_deploy(bench: Bench) -> None:
    """Nothing can serve then; the error says where the address is taken, and with it free the deploy goes well."""
    bench.fail(FIRST)
    assert FIRST.cause in bench.said[FIRST.name]
    assert bench.site.serving() == []
    bench.site.invoke("deploy")


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_broken(bench: Bench, broken: Broken) -> None:
    """The deploy exits 1 and names the cause; the good release serves all the while, without one failed request."""
    before = bench.site.serving()
    assert before
    with load(bench.site.port, "/health", clients=2) as result:
        bench.fail(broken)
    assert broken.cause in bench.said[broken.name]
    assert result.failures == []
    assert bench.site.serving() == before


def test_the_page_says_what_was_said(bench: Bench) -> None:
    """`docs/failures.md` has each of these messages, as far as they do not depend on the machine's kernel."""
    missing = [broken.name for broken in (FIRST, *BROKEN) if broken.name not in bench.said]
    if missing:
        pytest.skip("only all apps together make the page")
    page = rendered(bench.said)
    if os.environ.get("CARBOY_UPDATE_DOCS") == "1":
        PAGE.write_text(page)
    assert KERNEL.sub("", PAGE.read_text()) == KERNEL.sub("", page)


def rendered(said: dict[str, str]) -> str:
    """The page: a table of all, then each with its whole message."""
    rows = [f"| [{each.name}](#{anchor(each)}) | {error(said[each.name])} |\n" for each in (*BROKEN, FIRST)]
    parts = [f"\n## {each.name}\n\n{each.how}\n\n```\n{said[each.name]}```\n" for each in (*BROKEN, FIRST)]
    return "".join([HEAD, "\n| Broken | Error |\n|---|---|\n", *rows, *parts])


def anchor(broken: Broken) -> str:
    """The link to a section, as GitHub makes it of the heading."""
    return re.sub(r"[^\w-]", "", broken.name.lower().replace(" ", "-"))


def error(said: str) -> str:
    """The line that says what happened."""
    return next(line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: "))
