"""HBONE spoken with an independent HTTP/2 library, in both roles: interop.py PATH-OF-hbone-echo."""

import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

try:
    import h2.config
    import h2.connection
    import h2.errors
    import h2.events
    import h2.settings
except ImportError:
    print("python3-h2 is not installed")
    sys.exit(77)

GOAWAY = bytes.fromhex("000008" "07" "00" "00000000") + bytes(8)  # NO_ERROR, last stream 0
ECHO = sys.argv.pop(1)
DIR = tempfile.TemporaryDirectory()
subprocess.run([ECHO, "certificates", DIR.name, "client", "server"], check=True)


def context(server, name="client", certificate=True, alpn="h2"):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(f"{DIR.name}/root.pem")
    if certificate:
        made.load_cert_chain(f"{DIR.name}/{name}.pem", f"{DIR.name}/{name}.key")
    made.set_alpn_protocols([alpn])
    return made


class Peer:
    """A blocking HTTP/2 connection; events are kept in order."""

    def __init__(self, sock, client_side):
        self.sock = sock
        # h2 4.1 wants a :path even of a CONNECT (RFC 9113 §8.5 forbids one); the tests look at the headers themselves.
        config = h2.config.H2Configuration(client_side=client_side, header_encoding="utf-8", validate_inbound_headers=False,
                                           validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config=config)
        self.h2.initiate_connection()
        self.flush()
        self.events = []

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def until(self, wanted):
        """The first event of a kind; everything before it is dropped."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    self.flush()
                if isinstance(event, wanted):
                    return event
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise EOFError(event)
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.events += self.h2.receive_data(data)
            self.flush()

    def connect(self, authority, headers=(), method="CONNECT"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":authority", authority), *headers])
        self.flush()
        return stream

    def send(self, stream, data, end=False):
        while data or end:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room == 0 and data:
                self.until(h2.events.WindowUpdated)
                continue
            last = end and room == len(data)
            self.h2.send_data(stream, data[:room], end_stream=last)
            self.flush()
            data = data[room:]
            if last or not data:
                return


class AgainstOurServer(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([ECHO, "serve", DIR.name, "server"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def tearDown(self):
        self.process.kill()
        self.process.communicate()

    def dial(self, **kwargs):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock = context(False, **kwargs).wrap_socket(raw)
        self.addCleanup(sock.close)
        return Peer(sock, True)

    def test_settings_are_istios(self):
        peer = self.dial()
        peer.until(h2.events.RemoteSettingsChanged)
        codes = h2.settings.SettingCodes
        remote = peer.h2.remote_settings
        self.assertEqual(remote[codes.MAX_CONCURRENT_STREAMS], 200)
        self.assertEqual(remote[codes.INITIAL_WINDOW_SIZE], 4 << 20)
        self.assertEqual(remote[codes.MAX_FRAME_SIZE], 1 << 20)
        self.assertEqual(remote[codes.MAX_HEADER_LIST_SIZE], 65536)
        self.assertEqual(peer.sock.selected_alpn_protocol(), "h2")
        self.assertEqual(peer.sock.version(), "TLSv1.3")

    def test_connect_carries_bytes_and_half_close(self):
        peer = self.dial()
        stream = peer.connect("10.0.0.1:1", [("baggage", "k8s.pod.name=py"), ("forwarded", 'for="1.2.3.4:5"'), ("x-unknown", "y")])
        response = dict(peer.until(h2.events.ResponseReceived).headers)
        self.assertEqual(response[":status"], "200")
        self.assertEqual(response["baggage"], "k8s.pod.name=app")
        data = bytes(range(256)) * 2000
        got, sent = b"", 0
        while sent < len(data):  # in step: h2 is not thread safe
            piece = data[sent:sent + 60000]
            peer.send(stream, piece)
            sent += len(piece)
            while len(got) < sent:
                got += peer.until(h2.events.DataReceived).data
        self.assertEqual(got, data)
        peer.send(stream, b"", end=True)
        peer.until(h2.events.StreamEnded)

    def test_refusals_end_the_stream_with_their_status(self):
        peer = self.dial()
        for status in (400, 401, 503):
            peer.connect(f"10.0.0.1:{status}")
            response = peer.until(h2.events.ResponseReceived)
            self.assertEqual(dict(response.headers)[":status"], str(status))
            self.assertIsNotNone(response.stream_ended)

    def test_get_is_400(self):
        peer = self.dial()
        peer.connect("a:1", [(":scheme", "https"), (":path", "/")], method="GET")
        self.assertEqual(dict(peer.until(h2.events.ResponseReceived).headers)[":status"], "400")

    def test_application_reset_is_connect_error(self):
        peer = self.dial()
        stream = peer.connect("10.0.0.1:2")
        peer.until(h2.events.ResponseReceived)
        peer.send(stream, b"x")
        self.assertEqual(peer.until(h2.events.StreamReset).error_code, h2.errors.ErrorCodes.CONNECT_ERROR)

    def test_ping_is_answered(self):
        peer = self.dial()
        peer.h2.ping(b"12345678")
        peer.flush()
        self.assertEqual(peer.until(h2.events.PingAckReceived).ping_data, b"12345678")

    def test_goaway_lets_what_is_open_finish_and_then_the_server_hangs_up(self):
        peer = self.dial()
        stream = peer.connect("10.0.0.1:1")
        peer.until(h2.events.ResponseReceived)
        peer.sock.sendall(GOAWAY)  # past h2, which would send nothing after its own
        peer.send(stream, b"still", end=True)
        self.assertEqual(peer.until(h2.events.DataReceived).data, b"still")
        peer.until(h2.events.StreamEnded)
        with self.assertRaises(EOFError):
            peer.until(h2.events.ResponseReceived)

    def test_no_certificate_and_wrong_alpn_are_refused(self):
        for kwargs in ({"certificate": False}, {"alpn": "http/1.1"}):
            with self.assertRaises((ssl.SSLError, EOFError, OSError)):
                self.dial(**kwargs).until(h2.events.RemoteSettingsChanged)

    def test_a_client_of_an_untrusted_issuer_is_refused(self):
        with tempfile.TemporaryDirectory() as other:
            subprocess.run([ECHO, "certificates", other, "client"], check=True)
            strange = context(False)
            strange.load_cert_chain(f"{other}/client.pem", f"{other}/client.key")
            raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            with self.assertRaises((ssl.SSLError, EOFError, OSError)):
                Peer(strange.wrap_socket(raw), True).until(h2.events.RemoteSettingsChanged)


class AgainstOurClient(unittest.TestCase):
    def serve(self, play, alpn="h2"):
        """Listens, plays one connection in a thread; returns the port."""
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            raw, _ = listener.accept()
            raw.settimeout(10)
            try:
                sock = context(True, name="server", alpn=alpn).wrap_socket(raw, server_side=True)
                self.server_name = sock.server_hostname
                play(Peer(sock, False))
            except (EOFError, OSError):
                pass

        self.thread = threading.Thread(target=run)
        self.thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(self.thread.join)
        return listener.getsockname()[1]

    def connect(self, port, data=b"", expected="server", authority="10.0.0.9:80"):
        return subprocess.run([ECHO, "connect", DIR.name, "client", expected, str(port), authority], input=data, capture_output=True,
                              timeout=20)

    def test_head_is_connect_with_two_pseudo_headers(self):
        seen = {}

        def play(peer):
            request = peer.until(h2.events.RequestReceived)
            seen["headers"] = request.headers
            peer.h2.send_headers(request.stream_id, [(":status", "200")])
            peer.flush()
            while True:
                event = peer.until((h2.events.DataReceived, h2.events.StreamEnded))
                if isinstance(event, h2.events.StreamEnded):
                    break
                peer.send(request.stream_id, event.data)
            peer.send(request.stream_id, b"", end=True)
            peer.until(h2.events.ConnectionTerminated)

        data = b"hello" * 40000
        result = self.connect(self.serve(play), data)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, data)
        self.assertEqual(seen["headers"], [(":method", "CONNECT"), (":authority", "10.0.0.9:80"), ("baggage", "k8s.pod.name=echo")])

    def test_statuses_are_told(self):
        for status, word in (("400", b"malformed"), ("401", b"denied"), ("503", b"unreachable")):
            def play(peer, status=status):
                request = peer.until(h2.events.RequestReceived)
                peer.h2.send_headers(request.stream_id, [(":status", status)], end_stream=True)
                peer.flush()
                peer.until(h2.events.ConnectionTerminated)

            result = self.connect(self.serve(play))
            self.assertEqual(result.returncode, 1)
            self.assertIn(word, result.stderr)

    def test_settings_before_anything_else(self):
        seen = {}

        def play(peer):
            peer.until(h2.events.RemoteSettingsChanged)
            codes = h2.settings.SettingCodes
            seen.update({code: peer.h2.remote_settings[code] for code in
                         (codes.INITIAL_WINDOW_SIZE, codes.MAX_FRAME_SIZE, codes.MAX_HEADER_LIST_SIZE, codes.ENABLE_PUSH)})

        self.connect(self.serve(play))
        self.thread.join()
        self.assertEqual(list(seen.values()), [4 << 20, 1 << 20, 16384, 0])

    def test_somebody_else_is_refused(self):
        result = self.connect(self.serve(lambda peer: None), expected="other")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"not who was expected", result.stderr)

    def test_a_server_without_h2_is_refused(self):
        result = self.connect(self.serve(lambda peer: None, alpn="http/1.1"))
        self.assertEqual(result.returncode, 1)

    def test_goaway_lets_what_is_open_finish(self):
        def play(peer):
            request = peer.until(h2.events.RequestReceived)
            peer.h2.send_headers(request.stream_id, [(":status", "200")])
            peer.flush()
            peer.sock.sendall(GOAWAY[:9] + request.stream_id.to_bytes(4, "big") + bytes(4))
            peer.until(h2.events.StreamEnded)
            peer.send(request.stream_id, b"after", end=True)
            peer.until(h2.events.ConnectionTerminated)

        result = self.connect(self.serve(play), b"x")
        self.assertEqual((result.returncode, result.stdout), (0, b"after"), result.stderr)

    def test_ping_is_answered(self):
        seen = {}

        def play(peer):
            request = peer.until(h2.events.RequestReceived)
            peer.h2.send_headers(request.stream_id, [(":status", "200")])
            peer.h2.ping(b"87654321")
            peer.flush()
            seen["ping"] = peer.until(h2.events.PingAckReceived).ping_data
            peer.send(request.stream_id, b"", end=True)
            peer.until(h2.events.ConnectionTerminated)

        self.connect(self.serve(play))
        self.thread.join()
        self.assertEqual(seen, {"ping": b"87654321"})

    def test_goaway_and_cancel(self):
        def play(peer):
            request = peer.until(h2.events.RequestReceived)
            peer.h2.send_headers(request.stream_id, [(":status", "200")])
            peer.send(request.stream_id, b"part")
            peer.h2.reset_stream(request.stream_id, h2.errors.ErrorCodes.CANCEL)
            peer.flush()
            peer.until(h2.events.ConnectionTerminated)

        result = self.connect(self.serve(play))
        self.assertEqual((result.returncode, result.stdout), (0, b"part"), result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
