"""Faults on a real host, at any point of a run: what a point is, how one is reached, and what must hold afterwards."""

from tests.support.faults.point import Point, effects, events, full_disks, moments
from tests.support.faults.walk import SCENARIOS, Walk

__all__ = ["SCENARIOS", "Point", "Walk", "effects", "events", "full_disks", "moments"]
