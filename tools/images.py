#!/usr/bin/python3
"""Makes Weft's images from a build, FROM scratch: the binaries, the libraries they are loaded with, and the certificates of Debian's
public CAs. `node` (agent and ztunnel), `controlplane`, `envoy` (the pinned stock one, for waypoints and gateways)."""

import argparse
import glob
import os
import sys

from oci import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVOY = "1.40.0"


def base(reference, **options):
    image = Image(reference, **options)
    image.directory("tmp", 0o1777)
    image.file("etc/passwd", b"root:x:0:0:root:/:/sbin/nologin\nweft:x:1337:1337:weft:/:/sbin/nologin\n")
    image.file("etc/group", b"root:x:0:\nweft:x:1337:\n")
    image.file("etc/nsswitch.conf", b"hosts: files dns\n")
    image.link("var/run", "/run")
    image.directory("run")
    return image


def public_cas():
    parts = []
    for path in sorted(glob.glob("/usr/share/ca-certificates/mozilla/*.crt")):
        with open(path, "rb") as file:
            parts.append(file.read())
    if not parts:
        raise RuntimeError("no certificates in /usr/share/ca-certificates: is ca-certificates installed?")
    return b"".join(parts)


def node(bin_dir, registry, tag):
    image = base(f"{registry}/node:{tag}")
    for name in ("weft-agent", "weft-ztunnel", "weft-cni"):
        image.binary(f"usr/local/bin/{name}", f"{bin_dir}/{name}")
    return image


def controlplane(bin_dir, registry, tag):
    image = base(f"{registry}/controlplane:{tag}", entrypoint=["/usr/local/bin/weft-controlplane"], user="1337")
    image.binary("usr/local/bin/weft-controlplane", f"{bin_dir}/weft-controlplane")
    image.file("etc/ssl/certs/ca-certificates.crt", public_cas())
    return image


def envoy(_bin_dir, registry, _tag):
    image = base(f"{registry}/envoy:{ENVOY}", entrypoint=["/usr/local/bin/envoy"], user="1337")
    image.binary("usr/local/bin/envoy", f"{ROOT}/.cache/envoy-{ENVOY}/envoy")
    for name in ("bash", "cat", "sleep"):  # its preStop is a script, as in Envoy's own images
        image.binary(f"bin/{name}", f"/bin/{name}")
    return image


IMAGES = {"node": node, "controlplane": controlplane, "envoy": envoy}


def version():
    with open(f"{ROOT}/CMakeLists.txt", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("project("))
    return line.split("VERSION")[1].split()[0].rstrip(")")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=f"{ROOT}/build/release/bin", help="directory with the built binaries (default: the release build)")
    parser.add_argument("--out", default=f"{ROOT}/build/images", help="directory for the archives (default: build/images)")
    parser.add_argument("--registry", default="docker.io/weft", help="what the images' names begin with (default: docker.io/weft)")
    parser.add_argument("--tag", default=version(), help="default: the project's version")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"which (default: {', '.join(IMAGES)})")
    args = parser.parse_args()
    unknown = [name for name in args.images if name not in IMAGES]
    if unknown:
        parser.error(f"no such image: {', '.join(unknown)} (there are {', '.join(IMAGES)})")
    os.makedirs(args.out, exist_ok=True)
    for name in args.images or IMAGES:
        archive = f"{args.out}/{name}.tar"
        try:
            image = IMAGES[name](args.bin, args.registry, args.tag)
        except (OSError, RuntimeError) as error:
            print(f"images: {name}: {error}", file=sys.stderr)
            return 1
        image.write(archive)
        print(f"images: {image.reference}  {os.path.getsize(archive) / 1e6:.0f} MB  {archive}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
