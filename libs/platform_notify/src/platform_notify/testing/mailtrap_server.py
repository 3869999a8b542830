"""The local Mailtrap as a process: `python -m platform_notify.testing.mailtrap_server --ca-out ca.pem`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from platform_notify.testing.local_mailtrap import MailtrapServer
from platform_notify.testing.mailtrap_answers import Answer, ok, parse_answer


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM; the first line printed says where, and which CA to trust."""
    parser = argparse.ArgumentParser(description="A local Mailtrap for end-to-end runs.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 for any that is free")
    parser.add_argument("--ca-out", type=Path, required=True, help="where to write the CA to trust (PEM)")
    parser.add_argument("--token", help="the one key to take; without it any is taken")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--log", type=Path, help="file that gets one JSON line for each request")
    parser.add_argument(
        "--answer",
        type=parse_answer,
        action="append",
        help="ok, a status, 429:SECONDS, success-false, empty, hang, reset or items:0,3, "
        "after taken- the mails are taken all the same; "
        "several answer one request each, and the last one all the rest",
    )
    options = _Options()
    parser.parse_args(arguments, namespace=options)
    stop = {signal.SIGINT, signal.SIGTERM}
    # Before any thread starts, so that the signals come here.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with MailtrapServer(
        options.ca_out, port=options.port, token=options.token, delay=options.delay, log=options.log
    ) as server:
        *first, last = options.answer or [ok()]
        server.answer_next(*first)
        server.answer_always(last)
        sys.stdout.write(f"MAILTRAP_API_HOST={server.host} MAILTRAP_CA_BUNDLE={options.ca_out}\n")
        sys.stdout.flush()
        signal.sigwait(stop)


class _Options(argparse.Namespace):
    port: int
    ca_out: Path
    token: str | None
    delay: float
    log: Path | None
    answer: list[Answer] | None


if __name__ == "__main__":
    main(sys.argv[1:])
