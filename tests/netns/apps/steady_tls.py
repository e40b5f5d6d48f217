#!/usr/bin/python3
"""One TLS connection that asks again and again: steady_tls.py ADDRESS PORT HOST PATH SECONDS. Prints {"ok", "errors"}; a connection that
ends is an error: it is not opened again."""
import http.client
import json
import socket
import ssl
import sys
import time

address, port, host, path, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(host, port, context=context, timeout=5)
connection.sock = context.wrap_socket(socket.create_connection((address, port), 5), server_hostname=host)
connection.auto_open = False
ok, errors, end = 0, [], time.monotonic() + seconds
while time.monotonic() < end and not errors:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        ok += answer.status == 200
        if answer.status != 200:
            errors.append(str(answer.status))
    except (OSError, http.client.HTTPException) as error:
        errors.append(repr(error))
    time.sleep(0.05)
print(json.dumps({"ok": ok, "errors": errors}))
