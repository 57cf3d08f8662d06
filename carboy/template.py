"""Texts from `templates/`, rendered with jinja2; an undefined variable is an error, never an empty string."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.project import ROOT, STATE

FOLDER = ROOT / "templates"


def template(name: str, **variables: Any) -> Content:
    """Render `templates/<name>`; raises `DeclarationError` with the template's own line on any mistake in it."""
    try:
        return Content.of(_environment().get_template(name).render(variables))
    except jinja2.UndefinedError as problem:
        raise DeclarationError(f"undefined in a template: {problem.message}", where=_place(name, problem)) from problem
    except jinja2.TemplateNotFound as problem:
        raise DeclarationError(f"no template {problem.name}", where=str(FOLDER)) from problem
    except (TypeError, ValueError, ArithmeticError) as problem:
        raise DeclarationError(f"a template failed: {problem}", where=_place(name, problem)) from problem
    except jinja2.TemplateSyntaxError as problem:
        raise DeclarationError(f"template syntax: {problem.message}", where=f"{name}:{problem.lineno}") from problem


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        bytecode_cache=jinja2.FileSystemBytecodeCache(str(_cache())),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["py"] = _literal
    return environment


def _cache() -> Path:
    """Where compiled templates are kept: compiling them anew takes longer than a host needs to answer."""
    path = STATE / "templates"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


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
