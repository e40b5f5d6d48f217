#!/usr/bin/python3
"""An OTLP collector over gRPC: otlp.py GRPC_PORT HTTP_PORT. GET on HTTP_PORT answers all spans that came, as JSON:
[{"trace", "id", "parent", "name", "kind", "service", "tags"}]."""
import concurrent.futures
import http.server
import importlib
import json
import os
import socketserver
import subprocess
import sys
import tempfile

sys.path.pop(0)  # grpc looks for a module grpc_health, and ours is another
import grpc  # noqa: E402

spans = []


def load():
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(["protoc", f"-I{here}", f"--python_out={made}", "otlp.proto"], check=True)
        sys.path.insert(0, made)
        return importlib.import_module("otlp_pb2")


PB = load()


def text(attributes):
    return {one.key: one.value.string_value for one in attributes}


def export(request, _context):
    for resource in request.resource_spans:
        service = text(resource.resource.attributes).get("service.name", "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans.append({"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name,
                              "kind": span.kind, "service": service, "tags": text(span.attributes)})
    return b""  # an empty ExportTraceServiceResponse: all were taken


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(spans).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would ask DNS for a name first


method = grpc.unary_unary_rpc_method_handler(export, PB.ExportTraceServiceRequest.FromString, lambda reply: reply)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("opentelemetry.proto.collector.trace.v1.TraceService", {"Export": method}),))
server.add_insecure_port(f"[::]:{sys.argv[1]}")
server.start()
Server(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
