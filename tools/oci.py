"""Writes images FROM scratch: one layer, made of files of this machine, as an OCI image layout archive that `ctr images import`, `podman load`
and `skopeo copy oci-archive:` take. The same files give the same bytes."""

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest(data):
    return hashlib.sha256(data).hexdigest()


def libraries(binary):
    """Shared objects that `binary` is loaded with, the loader among them, by the path that the loader looks for."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return []  # static
    found = []
    for line in listed.stdout.splitlines():
        words = line.split()
        if "not found" in line:
            raise RuntimeError(f"{binary}: {words[0]} is not on this machine")
        if "=>" in words and words[words.index("=>") + 1].startswith("/"):
            found.append(words[words.index("=>") + 1])
        elif words and words[0].startswith("/"):
            found.append(words[0])
    return found


class Image:
    """Add files and directories, then write()."""

    def __init__(self, reference, entrypoint=(), user="0"):
        self.reference, self.entrypoint, self.user = reference, list(entrypoint), user
        self.entries = {}  # path without leading slash -> (mode, bytes | None for a directory | str for a link)

    def directory(self, path, mode=0o755):
        self.entries[path.strip("/")] = (mode, None)

    def file(self, path, data, mode=0o644):
        parent = os.path.dirname(path.strip("/"))
        while parent:
            self.entries.setdefault(parent, (0o755, None))
            parent = os.path.dirname(parent)
        self.entries[path.strip("/")] = (mode, data)

    def link(self, path, target):
        self.file(path, target, 0o777)

    def binary(self, path, source):
        """With every library that it needs."""
        with open(source, "rb") as file:
            self.file(path, file.read(), 0o755)
        for library in libraries(source):
            with open(library, "rb") as file:
                self.file(library, file.read(), 0o755)

    def _layer(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(self.entries):
                mode, data = self.entries[path]
                item = tarfile.TarInfo(path)
                item.mode = mode
                if data is None:
                    item.type = tarfile.DIRTYPE
                    tar.addfile(item)
                elif isinstance(data, str):
                    item.type, item.linkname = tarfile.SYMTYPE, data
                    tar.addfile(item)
                else:
                    item.size = len(data)
                    tar.addfile(item, io.BytesIO(data))
        return out.getvalue()

    def write(self, archive):
        layer = self._layer()
        packed = gzip.compress(layer, 1, mtime=0)
        config = json.dumps({
            "architecture": ARCHITECTURE, "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Entrypoint": self.entrypoint or None, "User": self.user,
                       "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]}}).encode()
        kind = "application/vnd.oci.image"
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": f"sha256:{digest(config)}", "size": len(config)},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": f"sha256:{digest(packed)}", "size": len(packed)}]}).encode()
        index = json.dumps({
            "schemaVersion": 2, "mediaType": f"{kind}.index.v1+json",
            "manifests": [{"mediaType": f"{kind}.manifest.v1+json", "digest": f"sha256:{digest(manifest)}", "size": len(manifest),
                           "platform": {"architecture": ARCHITECTURE, "os": "linux"},
                           "annotations": {"io.containerd.image.name": self.reference,
                                           "org.opencontainers.image.ref.name": self.reference.rsplit(":", 1)[1]}}]}).encode()
        part = archive + ".part"
        with tarfile.open(part, "w") as tar:
            for name, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index),
                               *((f"blobs/sha256/{digest(blob)}", blob) for blob in (packed, config, manifest))):
                item = tarfile.TarInfo(name)
                item.size, item.mode = len(data), 0o644
                tar.addfile(item, io.BytesIO(data))
        os.replace(part, archive)
