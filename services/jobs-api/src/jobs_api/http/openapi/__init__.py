"""The OpenAPI document: what each route takes and answers, written down once, served and shown."""
