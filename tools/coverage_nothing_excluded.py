"""Coverage plugin: no line is ever excluded, so a `pragma: no cover` has no effect."""

from coverage.plugin_support import Plugins
from coverage.types import TConfigurable


def coverage_init(reg: Plugins, options: dict[str, str]) -> None:
    """Register the configurer with coverage (called by coverage itself)."""
    reg.add_configurer(NothingExcluded())


class NothingExcluded:
    """Empties coverage's built-in list of exclusion patterns."""

    def configure(self, config: TConfigurable) -> None:
        """Set the exclusion and partial-branch patterns to nothing."""
        for option in ("report:exclude_lines", "report:exclude_also", "report:partial_branches"):
            config.set_option(option, [])
