"""A saved plan is applied as it was shown, or not at all."""

from __future__ import annotations

import json
from typing import Any, Iterable, List, Optional, Tuple

from carboy.applier.resource import Drift, Failure

Planned = List[Tuple[str, Any]]


def agree(drifts: Iterable[Tuple[str, Drift]], planned: Optional[Planned]) -> None:
    """Raise `Failure` if what differs is not what a plan says, each by the resource's title; None: there is no plan."""
    if planned is None:
        return
    found = {title: json.loads(json.dumps(drift)) for title, drift in drifts if drift}
    expected = dict(planned)
    other = [title for title in {**expected, **found} if found.get(title) != expected.get(title)]
    if other:
        hint = "plan again, look at it, and deploy that plan"
        raise Failure("the host has changed since the plan: %s" % ", ".join(other), hint=hint)
