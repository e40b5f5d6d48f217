"""Somebody who signs tokens (RS256), and the key set to verify them with."""

import base64
import json
import subprocess
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*argv, **kwargs):
    return subprocess.run(["openssl", *argv], capture_output=True, check=True, **kwargs).stdout


class Issuer:
    def __init__(self, directory, name="https://issuer.example"):
        self.name, self.key = name, f"{directory}/{len(name)}-key.pem"
        openssl("genrsa", "-out", self.key, "2048")
        modulus = bytes.fromhex(openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1])
        self.keys = json.dumps({"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "e": "AQAB", "n": b64(modulus)}]})

    def token(self, **more):
        claims = {"iss": self.name, "sub": "somebody", "exp": int(time.time()) + 3600, **more}
        signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims))
        return f"{signed}.{b64(openssl('dgst', '-sha256', '-sign', self.key, input=signed.encode()))}"
