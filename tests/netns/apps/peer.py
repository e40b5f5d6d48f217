#!/usr/bin/python3
"""A peer that breaks the rules of HBONE: peer.py DIR HOST PORT, one act as JSON on stdin, what came back as JSON on stdout.
Act: {"certificate": NAME in DIR or null, "alpn": ["h2"], "tls": "1.3", "raw": hex sent instead of TLS, "send": hex sent inside TLS,
"hang_up": close after sending}. Answer: {"frames": [[type, flags, stream, payload as hex], …], "end": eof|reset|alert …|timeout}."""
import json
import socket
import ssl
import sys

DIR, HOST, PORT = sys.argv[1:4]
LIMIT_S = 5


def context(act):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if act.get("tls") == "1.2":
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    if act.get("alpn", ["h2"]):
        made.set_alpn_protocols(act.get("alpn", ["h2"]))
    if act.get("certificate", "good"):
        name = act.get("certificate", "good")
        made.load_cert_chain(f"{DIR}/{name}.pem", f"{DIR}/{name}.key")
    return made


def frames_of(data):
    frames = []
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        frames.append([data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:9 + size].hex()])
        data = data[9 + size:]
    return frames


def play(act, sock):
    """Sends what the act says, and reads to the end of the connection (or for as long as the act says)."""
    data, end = b"", "timeout"
    try:
        if act.get("raw"):
            sock.sendall(bytes.fromhex(act["raw"]))
        else:
            sock = context(act).wrap_socket(sock)
            sock.sendall(bytes.fromhex(act.get("send", "")))
        sock.settimeout(act.get("seconds", LIMIT_S))
        if act.get("hang_up"):
            sock.close()
            return data, "hung up"
        while True:
            got = sock.recv(65536)
            if not got:
                return data, "eof"
            data += got
    except ssl.SSLError as error:
        end = f"alert {error.reason}"
    except TimeoutError:
        end = "timeout"
    except OSError as error:
        end = "reset" if isinstance(error, (ConnectionResetError, BrokenPipeError)) else str(error)
    return data, end


def main():
    act = json.load(sys.stdin)
    data, end = play(act, socket.create_connection((HOST, int(PORT)), timeout=LIMIT_S))
    print(json.dumps({"frames": [] if act.get("raw") else frames_of(data), "end": end}))


main()
