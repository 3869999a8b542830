"""jobs_api."""
