"""A door before the API server that turns some requests away. Everything else is handed on, as the test's administrator."""

import http.client
import http.server
import ssl
import threading
import time


class Door:
    """`refuse(method, path)` gives (status, headers) or None; `refused` has (when, path). `passed` has the GETs that went through, in order,
    `expired` those that were answered, or ended, with 410."""

    def __init__(self, api):
        self.api, self.refuse, self.refused, self.passed, self.expired = api, lambda method, path: None, [], [], []
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = lambda self: door.hand_on(self)
            log_message = lambda *_: None

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{api.dir}/server.crt", f"{api.dir}/server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hand_on(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        no = self.refuse(request.command, request.path)
        if no:
            self.refused.append((time.monotonic(), request.path))
            request.send_response(no[0])
            for name, value in {**no[1], "Content-Length": "0"}.items():
                request.send_header(name, value)
            request.end_headers()
            return
        inner = http.client.HTTPSConnection("127.0.0.1", self.api.port, context=self.api.tls, timeout=120)
        kept = {name: request.headers[name] for name in ("Content-Type", "Accept") if name in request.headers}
        inner.request(request.command, request.path, body or None, kept)
        answer = inner.getresponse()
        if request.command == "GET":
            self.passed.append(request.path)
        if answer.status == 410:
            self.expired.append(request.path)
        request.send_response(answer.status)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            while data := answer.read1(1 << 16):
                if b'"code":410' in data and answer.status == 200:
                    self.expired.append(request.path)
                request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            request.wfile.write(b"0\r\n\r\n")
        except (OSError, http.client.HTTPException):
            request.close_connection = True  # an answer that was cut off
        finally:
            inner.close()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
