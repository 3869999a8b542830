"""What a template meets for a name it was not given: an error, never an empty place."""

from jinja2 import StrictUndefined
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.utils import missing


class StrictMissing(StrictUndefined):
    """Fails on a name that the template does not get; says its types, which the base class leaves open."""

    def __init__(
        self,
        hint: str | None = None,
        obj: object = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
