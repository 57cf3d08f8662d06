"""An app's name: what belongs to somebody else on the host is never taken over."""

from __future__ import annotations

import pytest

from carboy.applier.host import Host
from carboy.applier.name import Name
from carboy.applier.resource import Failure
from tests.support.trees import fill


def name(app: str) -> Name:
    """The declaration of an app's name."""
    return Name(app, home=f"/srv/{app}", logs=f"/var/log/{app}")


def test_a_name_of_its_own(host: Host) -> None:
    """A name that nothing bears is free, and stays so."""
    assert name("carboy_free").drift(host) == {}


@pytest.mark.parametrize("unit", ["thing.service", "thing.socket", "thing@.service"])
def test_a_unit_of_the_distribution(host: Host, unit: str) -> None:
    """A unit that a package brought would be covered by ours."""
    fill(host.root, {f"usr/lib/systemd/system/{unit}": ""})
    refused(host, "thing", unit)


def test_a_user_with_another_home(host: Host) -> None:
    """A person, or another program's user, is not made into a service."""
    refused(host, "root", "user root with the home /root")


def test_a_log_folder_of_somebody_else(host: Host) -> None:
    """A folder of logs that the app's user does not own was there before the app."""
    fill(host.root, {"var/log/thing/x.log": ""})
    refused(host, "thing", "folder /var/log/thing")


def refused(host: Host, app: str, reason: str) -> None:
    """The repair must refuse, and say what bears the name."""
    declared = name(app)
    with pytest.raises(Failure, match=reason):
        declared.repair(host, declared.drift(host))
