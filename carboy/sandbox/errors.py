"""The one error of the sandbox."""

from __future__ import annotations

from carboy.errors import CarboyError


class SandboxError(CarboyError):
    """A container host cannot be had on this machine; nothing on any real host was touched."""

    exit_code = 1
