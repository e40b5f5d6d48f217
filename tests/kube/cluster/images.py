"""Images for the cluster's own pods: pause, and a toolbox with busybox, curl and weft-bench."""

import os
import shutil
import sys

from .machine import Trouble

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
sys.path.insert(0, f"{ROOT}/tools")

from oci import Image  # noqa: E402  pylint: disable=wrong-import-position

APPLETS = "sh cat ls sleep httpd nc mkdir hostname echo id ps grep env ip touch date head tail sed awk kill true false wc sort tr test seq timeout".split()


def write_images(out, init, bin_dir):
    """pause.tar and toolbox.tar in `out`. `init` is the compiled init.c."""
    os.makedirs(out, exist_ok=True)
    pause = Image("localhost/weft/pause:1", entrypoint=["/pause"])
    pause.binary("pause", init)
    pause.write(f"{out}/pause.tar")

    toolbox = Image("localhost/weft/toolbox:1")
    toolbox.directory("tmp", 0o1777)
    toolbox.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    toolbox.file("etc/nsswitch.conf", b"hosts: files dns\n")
    for name, source in (("busybox", shutil.which("busybox")), ("curl", shutil.which("curl")), ("weft-bench", f"{bin_dir}/weft-bench")):
        if not source or not os.path.exists(source):
            raise Trouble(f"{name} is not on this machine")
        toolbox.binary(f"bin/{name}", source)
    for name in APPLETS:
        toolbox.link(f"bin/{name}", "busybox")
    toolbox.write(f"{out}/toolbox.tar")
