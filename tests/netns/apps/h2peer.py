#!/usr/bin/python3
"""An HBONE client of python-h2: h2peer.py DIR HOST PORT, requests as a JSON list on stdin, answers as a JSON list on stdout.
DIR holds key.pem, chain.pem and roots.pem, as `weftctl sandbox certificate` writes them. All requests go over one connection, in order.
Request: {"headers": [[name, value], …], "body": text to send and half-close (only if the answer is 200)}.
Answer: {"status", "headers": {…}, "ended": the answer ended the stream, "body": what came back} or {"reset": code}.
The last answer is {"server": the peer's SPIFFE name, "tls": version, "alpn": protocol}."""
import json
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events

DIR, HOST, PORT = sys.argv[1:4]
LIMIT_S = 10


def dial():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the name is a URI; the test looks at it
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(f"{DIR}/roots.pem")
    context.load_cert_chain(f"{DIR}/chain.pem", f"{DIR}/key.pem")
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(socket.create_connection((HOST, int(PORT)), timeout=LIMIT_S))


class Peer:
    def __init__(self, sock):
        # h2 wants a :path even of a CONNECT (RFC 9113 §8.5 forbids one): what goes out is the test's to choose.
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_inbound_headers=False, validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.sock, self.h2, self.events = sock, h2.connection.H2Connection(config), []
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def next(self):
        while not self.events:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the server hung up")
            self.events += self.h2.receive_data(data)
            self.flush()
        return self.events.pop(0)

    def ask(self, request):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [tuple(h) for h in request["headers"]])
        self.flush()
        answer, body, ended = {}, b"", False
        while not ended:
            event = self.next()
            if isinstance(event, h2.events.ConnectionTerminated):
                raise EOFError(f"GOAWAY {event.error_code}")
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, h2.events.StreamReset):
                return {**answer, "reset": int(event.error_code)}
            if isinstance(event, h2.events.ResponseReceived):
                headers = dict(event.headers)
                ended = event.stream_ended is not None
                answer = {"status": headers.pop(":status"), "headers": headers, "ended": ended}
                if not ended and answer["status"] == "200":
                    self.h2.send_data(stream, request.get("body", "").encode(), end_stream=True)
                    self.flush()
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                self.flush()
            elif isinstance(event, h2.events.StreamEnded):
                ended = True
        return {**answer, "body": body.decode()}


def main():
    peer = Peer(dial())
    names = [value for kind, value in peer.sock.getpeercert()["subjectAltName"] if kind == "URI"]
    answers = [peer.ask(request) for request in json.load(sys.stdin)]
    print(json.dumps([*answers, {"server": names, "tls": peer.sock.version(), "alpn": peer.sock.selected_alpn_protocol()}]))


main()
