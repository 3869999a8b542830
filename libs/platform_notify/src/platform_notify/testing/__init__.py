"""Local servers that stand in for the real providers, for this library's tests and for everybody's.

They need the extra `platform-notify[testing]`.
"""

from platform_notify.testing.local_mailtrap import MailtrapServer
from platform_notify.testing.smtp_server import SmtpServer

__all__ = ["MailtrapServer", "SmtpServer"]
