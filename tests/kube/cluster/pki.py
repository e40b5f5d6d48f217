"""Keys of a cluster: its CA, serving and client certificates, kubeconfigs, the service accounts' key."""

import os
import subprocess

DAYS = "30"
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Pki:
    def __init__(self, directory, server):
        self.dir, self.server = directory, server  # the directory is made by make_root()

    def path(self, name):
        return f"{self.dir}/{name}"

    def make_root(self, name, common_name):
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self._openssl("req", "-x509", *EC, "-subj", f"/CN={common_name}", "-days", DAYS, "-keyout", f"{name}.key", "-out", f"{name}.crt",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, subject, names=(), root="ca"):
        extension = "keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
        if names:
            extension += f"subjectAltName={','.join(names)}\n"
        with open(self.path(f"{name}.ext"), "w", encoding="ascii") as file:
            file.write(extension)
        self._openssl("req", *EC, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{root}.crt", "-CAkey", f"{root}.key", "-CAcreateserial", "-days", DAYS,
                      "-out", f"{name}.crt", "-extfile", f"{name}.ext")

    def make_service_account_key(self):
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")

    def kubeconfig(self, user):
        """Writes and names the file."""
        with open(self.path(f"{user}.kubeconfig"), "w", encoding="ascii") as file:
            file.write(f"""apiVersion: v1
kind: Config
clusters: [{{name: weft, cluster: {{server: "{self.server}", certificate-authority: {self.path("ca.crt")}}}}}]
users: [{{name: user, user: {{client-certificate: {self.path(user)}.crt, client-key: {self.path(user)}.key}}}}]
contexts: [{{name: weft, context: {{cluster: weft, user: user}}}}]
current-context: weft
""")
        return file.name

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.dir, check=True, capture_output=True, timeout=60)
