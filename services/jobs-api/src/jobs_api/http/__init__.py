"""The HTTP side: routes, problems, uploads, events, the page. Thin: what a job is lives in the libraries."""
