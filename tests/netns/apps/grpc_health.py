#!/usr/bin/python3
"""grpc.health.v1.Health over plaintext HTTP/2 (python-h2). Usage: grpc_health.py PORT SERVING|NOT_SERVING. Says on stdout what it was asked for."""
import asyncio
import sys

import h2.config
import h2.connection
import h2.events


class Peer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.bodies, self.paths = {}, {}
        self.flush()

    def flush(self):
        self.transport.write(self.http.data_to_send())

    def data_received(self, data):
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.paths[event.stream_id] = dict(event.headers)[":path"]
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            elif isinstance(event, h2.events.StreamEnded):
                self.answer(event.stream_id)
        self.flush()

    def answer(self, stream):
        good = self.paths[stream] == "/grpc.health.v1.Health/Check"
        message = self.bodies.get(stream, b"")[5:]
        print("asked for", message[2:].decode(), flush=True)
        self.http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if good:
            self.http.send_data(stream, b"\0\0\0\0\2\x08" + (b"\1" if sys.argv[2] == "SERVING" else b"\2"))
        self.http.send_headers(stream, [("grpc-status", "0" if good else "12")], end_stream=True)


async def main():
    server = await asyncio.get_running_loop().create_server(Peer, "0.0.0.0", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
