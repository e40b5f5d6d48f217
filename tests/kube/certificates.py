"""Asks a control plane for a certificate, as a ztunnel does: gRPC by hand over TLS. Knows nothing of Weft."""

import socket
import ssl
import struct

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from xds import field, fields, messages


def request_for(identity):
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM)


def ask(port, roots, token, identity, impersonated=None, csr_identity=None):
    """(gRPC status, message, SPIFFE URIs of the leaf or None)."""
    body = field(1, request_for(csr_identity or identity))
    if impersonated:
        value = field(3, impersonated.encode())
        body += field(4, field(1, field(1, b"ImpersonatedIdentity") + field(2, value)))
    context = ssl.create_default_context(cafile=roots)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw, server_hostname="localhost") as sock:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        conn.initiate_connection()
        headers = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"),
                   (":path", "/istio.v1.auth.IstioCertificateService/CreateCertificate"), ("content-type", "application/grpc"), ("te", "trailers")]
        if token:
            headers.append(("authorization", f"Bearer {token}"))
        conn.send_headers(1, headers)
        conn.send_data(1, b"\0" + struct.pack(">I", len(body)) + body, end_stream=True)
        sock.sendall(conn.data_to_send())
        answer, said = b"", {}
        while "grpc-status" not in said:
            data = sock.recv(1 << 16)
            assert data, "the server hung up"
            for event in conn.receive_data(data):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    said.update(event.headers)
                if isinstance(event, h2.events.DataReceived):
                    answer += event.data
                    conn.acknowledge_received_data(event.flow_controlled_length, 1)
            sock.sendall(conn.data_to_send())
    leaf = None
    for message in messages(answer):
        chain = [bytes(value) for number, value in fields(message) if number == 1]
        names = x509.load_pem_x509_certificate(chain[0]).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        leaf = names.get_values_for_type(x509.UniformResourceIdentifier)
    return int(said["grpc-status"]), said.get("grpc-message", ""), leaf
