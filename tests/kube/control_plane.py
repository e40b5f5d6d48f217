"""One weft-controlplane on loopback ports."""

import json
import os
import socket
import subprocess
import time

from api_server import free_port, spawn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("WEFT_BIN", f"{ROOT}/build/release/bin")


class ControlPlane:
    def __init__(self, source, directory, *flags):
        os.makedirs(directory, exist_ok=True)
        self.log = f"{directory}/log"
        self.dir, self.port, self.tls = directory, free_port(), free_port()
        self.process = spawn(
            [f"{BIN}/weft-controlplane", f"--source={source}", f"--tls=127.0.0.1:{self.tls}", f"--plaintext=127.0.0.1:{self.port}",
             f"--state-dir={directory}", f"--metrics=127.0.0.1:{free_port()}", f"--api={directory}/api.sock", *flags],
            stderr=open(self.log, "wb"), stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while "serving tls=" not in self.text():
            assert self.process.poll() is None and time.monotonic() < end, self.text()
            time.sleep(0.05)

    def text(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def ask(self, request):
        """One line there, one line back, at the API's socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(f"{self.dir}/api.sock")
            sock.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(sock.makefile().readline())

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.terminate()
        self.process.wait(10)
