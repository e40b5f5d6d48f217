#!/usr/bin/python3
"""Calls a gRPC method N times: grpc_call.py TARGET /package.Service/Method N. Prints one JSON line, {"STATUS NAME": n}."""
import json
import sys

sys.path.pop(0)  # grpc looks for a module grpc_health, and ours is another
import grpc  # noqa: E402

counts = {}
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary(sys.argv[2])
    for _ in range(int(sys.argv[3])):
        try:
            call(b"", timeout=10)
            key = "OK"
        except grpc.RpcError as error:
            key = error.code().name
        counts[key] = counts.get(key, 0) + 1
print(json.dumps(counts))
