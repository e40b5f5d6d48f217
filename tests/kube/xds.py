"""The xDS that a control plane serves to a ztunnel, as bytes by resource name. Knows nothing of Weft: python3-h2 and protobuf's wire format."""

import socket
import struct
import time

import h2.config
import h2.connection
import h2.events

ADDRESS = "type.googleapis.com/istio.workload.Address"
AUTHORIZATION = "type.googleapis.com/istio.security.Authorization"


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """Yields (number, bytes or int)."""
    at = 0

    def read():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = read()
        if tag & 7 == 0:
            yield tag >> 3, read()
        elif tag & 7 == 2:
            size = read()
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {tag & 7}")


def messages(stream):
    at = 0
    while at + 5 <= len(stream):
        size = struct.unpack(">I", stream[at + 1 : at + 5])[0]
        if at + 5 + size > len(stream):
            return
        yield stream[at + 5 : at + 5 + size]
        at += 5 + size


def snapshot(port, quiet=0.5):
    """{(type, resource name): the resource's bytes}, once nothing new came for `quiet` seconds."""
    out = {}
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        conn.initiate_connection()
        conn.increment_flow_control_window(1 << 30)
        conn.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "x"),
                              (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
                              ("content-type", "application/grpc"), ("te", "trailers")])
        conn.increment_flow_control_window(1 << 30, 1)
        node = field(1, field(1, b"ztunnel~10.0.0.1~z.weft-system~x"))
        for kind in (ADDRESS, AUTHORIZATION):
            body = node + field(2, kind.encode())
            conn.send_data(1, b"\0" + struct.pack(">I", len(body)) + body)
        sock.sendall(conn.data_to_send())
        stream, last, answered = b"", time.monotonic(), set()
        while len(answered) < 2 or time.monotonic() - last < quiet:
            assert time.monotonic() - last < 10, f"no answer for all types, got {answered}"
            sock.settimeout(0.1)
            try:
                data = sock.recv(1 << 16)
            except TimeoutError:
                continue
            assert data, "the server hung up"
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    stream += event.data
                    last = time.monotonic()
                assert not isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)), event
            sock.sendall(conn.data_to_send())
            answered = {bytes(v).decode() for m in messages(stream) for n, v in fields(m) if n == 4}
        for message in messages(stream):
            parts = list(fields(message))
            kind = next(bytes(v).decode() for n, v in parts if n == 4)
            for number, value in parts:
                if number == 2:
                    one = dict(fields(value))
                    out[kind, bytes(one[3]).decode()] = bytes(one[2])
    return out
