"""platform_workers."""
