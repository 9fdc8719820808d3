"""What every page is made from: its templates, scripts and styles."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Template

__all__ = ["page_template", "text_of"]


def page_template(name: str, **filters: Callable[..., str]) -> Template:
    """A template with these filters; all text is escaped, and an unknown name in it is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("voxeldose", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template(name)


def text_of(name: str) -> str:
    """A script or style of this folder."""
    return resources.files(__name__).joinpath(name).read_text("utf-8")
