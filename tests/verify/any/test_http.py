"""What the app answers over the public address, asked on the host itself."""

from __future__ import annotations

import pytest

from carboy.verify import judge
from carboy.verify.target import Target

DEFAULT_APP = "app.wsgi:app"
TIMES = 20


def test_health(target: Target) -> None:
    """The app says that it is healthy."""
    [answer] = target.answers()
    what = f"{target.app.health} answers {answer['status'] or 'nothing'}: {answer['body']}"
    judge.holds(200 <= answer["status"] < 400, what, f"invoke logs --host {target.name}")


def test_release_over_http(target: Target) -> None:
    """Every answer comes from the release that is current."""
    named = {answer["release"] for answer in target.answers(TIMES)}
    if named == {None} and target.app.wsgi != DEFAULT_APP:
        pytest.skip("the app sends no X-Release header")
    wanted = target.folder.rpartition("/")[2]
    judge.none(sorted(str(name) for name in named - {wanted}), f"answers that do not come from {wanted}", target.repair)
