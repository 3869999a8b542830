"""The ways a mail leaves: a Maildir folder, an SMTP server, Mailtrap.

Each module is imported by name, so that a service loads only the provider it uses.
"""
