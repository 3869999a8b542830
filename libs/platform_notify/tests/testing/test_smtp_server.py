"""The local SMTP server, spoken to by hand where the standard client never goes."""

import socket
from pathlib import Path

from platform_notify.testing import SmtpServer


def test_an_unknown_command_gets_an_answer(tmp_path: Path) -> None:
    with (
        SmtpServer(tmp_path / "ca.pem") as server,
        socket.create_connection(("127.0.0.1", server.port)) as line,
    ):
        replies = line.makefile("rb")
        assert replies.readline() == b"220 test server\r\n"
        line.sendall(b"VRFY somebody\r\n")
        assert replies.readline() == b"502 no such command\r\n"
        replies.close()


def test_a_mail_without_its_end_is_not_taken(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "ca.pem") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(b"EHLO me\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhalf a mail\r\n")
            line.shutdown(socket.SHUT_WR)
            while line.recv(1000):
                pass
        assert server.mails == []


def test_a_mail_needs_the_login(tmp_path: Path) -> None:
    with (
        SmtpServer(tmp_path / "ca.pem", login=("user", "word")) as server,
        socket.create_connection(("127.0.0.1", server.port)) as line,
    ):
        replies = line.makefile("rb")
        replies.readline()
        line.sendall(b"MAIL FROM:<a@b.c>\r\n")
        assert replies.readline() == b"530 log in first\r\n"
        replies.close()
