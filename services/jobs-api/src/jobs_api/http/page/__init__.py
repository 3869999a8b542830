"""The page of one job, for a person with a browser: its template, style and script, and what fills them."""
