"""The first code that runs on a host: makes the modules that travelled importable from memory, then starts the verb."""

import sys
from typing import Any, Dict


class Modules:
    """An import hook over a dictionary of sources, so that nothing has to be written to the host's disk."""

    def __init__(self, sources: Dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Claim the names that travelled."""
        if name not in self.sources:
            return None
        package = any(other.startswith(name + ".") for other in self.sources)
        return type(sys.__spec__)(name, self, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> None:
        """Leave the creation of the module object to Python."""

    def exec_module(self, module: Any) -> None:
        """Run the source that travelled as the module's body."""
        exec(compile(self.sources[module.__name__], "<%s>" % module.__name__, "exec"), module.__dict__)


def start(parts: Dict[str, Any]) -> None:
    """Import the payload's entry module and hand it the arguments; the parts are modules, main and args.

    Among the arguments are the modules: what is added to them can be imported from then on.
    """
    sys.meta_path.insert(0, Modules(parts["modules"]))
    __import__(parts["main"])
    sys.modules[parts["main"]].main({**parts["args"], "modules": parts["modules"]})
