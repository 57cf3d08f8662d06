"""Rendering with jinja2: an undefined variable is an error with its line, never an empty string."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from carboy.errors import DeclarationError


def render(folder: Path, name: str, variables: dict[str, Any]) -> str:
    """Render `name` of `folder`; raises `DeclarationError` with the template's own line on any mistake in it."""
    try:
        return _environment(folder).get_template(name).render(variables)
    except jinja2.UndefinedError as problem:
        raise DeclarationError(f"undefined in a template: {problem.message}", where=_place(name, problem)) from problem
    except jinja2.TemplateNotFound as problem:
        raise DeclarationError(f"no template {problem.name}", where=str(folder)) from problem
    except (TypeError, ValueError, ArithmeticError) as problem:
        raise DeclarationError(f"a template failed: {problem}", where=_place(name, problem)) from problem
    except jinja2.TemplateSyntaxError as problem:
        raise DeclarationError(f"template syntax: {problem.message}", where=f"{name}:{problem.lineno}") from problem


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["py"] = _literal
    return environment


def _literal(value: Any) -> str:
    """The value as Python source; text first, which is what makes an undefined value an error."""
    str(value)
    return repr(value)


def _place(name: str, problem: Exception) -> str:
    """The template and the line where rendering stopped."""
    trace, line = problem.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename.endswith(name):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"templates/{name}:{line}" if line else f"templates/{name}"
