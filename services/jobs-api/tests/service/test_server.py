"""The server runs on the parts that were chosen for it, and not on slower ones taken in silence."""

from service_kit import Service


def test_the_server_runs_on_what_it_names(shared_service: Service) -> None:
    server = shared_service["server"]
    assert type(server.servers[0].get_loop()).__module__.partition(".")[0] == "uvloop"
    assert server.config.http_protocol_class.__name__ == "HeadLimitedProtocol"
    assert server.config.ws_protocol_class is not None
    assert server.config.ws_protocol_class.__name__ == "RefusalAwareProtocol"
