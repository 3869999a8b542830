"""platform_notify."""
