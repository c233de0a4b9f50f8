"""A web server that says its name to every request, over connections that stay open.

Arguments: name, port, addresses. The addresses need not be there yet.
"""

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BACKLOG = 4096


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the server's name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Listens anywhere."""

    address_family = socket.AF_INET6
    request_queue_size = BACKLOG
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind for both versions of IP."""
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def main() -> None:
    """Serve until killed."""
    server = Server(("::", int(sys.argv[2])), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
