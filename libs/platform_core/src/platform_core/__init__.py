"""platform_core."""
