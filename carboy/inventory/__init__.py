"""The inventory: which hosts there are and what is said about them, in Ansible's own files and precedence."""

from __future__ import annotations

from carboy.inventory.extra import parse_extra
from carboy.inventory.host import Host
from carboy.inventory.inventory import Inventory
from carboy.inventory.load import load
from carboy.inventory.origin import Origin

__all__ = ["Host", "Inventory", "Origin", "load", "parse_extra"]
