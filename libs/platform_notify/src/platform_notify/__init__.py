"""From an outcome and what a job and its user want to a delivered mail.

`intake` makes a delivery of an outcome (`decision` says whether, `intent` what was asked for),
`delivery_store` keeps it, `sender` sends what is due through one of the `providers`, and
`retry` says when to try again.
"""
