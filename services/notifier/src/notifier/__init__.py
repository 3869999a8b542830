"""The notifier: hears how jobs end, and sends the mails.

`feeds` hears, `sending` sends, `readiness` and `metrics` tell how it goes, `cli` has the commands, and
`wiring` builds it all.
"""
