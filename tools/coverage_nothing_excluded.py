"""Coverage plugin: no line is ever excluded, so a `pragma: no cover` has no effect."""

from coverage.plugin import CoveragePlugin
from coverage.plugin_support import Plugins
from coverage.types import TConfigurable
from typing_extensions import override


def coverage_init(reg: Plugins, _options: dict[str, str]) -> None:
    """Register the configurer with coverage (called by coverage itself)."""
    reg.add_configurer(NothingExcluded())


class NothingExcluded(CoveragePlugin):
    """Empties coverage's built-in list of exclusion patterns."""

    @override
    def configure(self, config: TConfigurable) -> None:
        """Set the exclusion and partial-branch patterns to nothing."""
        for option in ("report:exclude_lines", "report:exclude_also", "report:partial_branches"):
            config.set_option(option, [])
