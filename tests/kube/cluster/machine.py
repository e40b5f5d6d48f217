"""A machine: pid, mount, network, uts, ipc and cgroup namespaces of its own, with its own bpffs and cgroup subtree. Power-off is SIGKILL of
its first process; starting it again is a reboot: /var/lib/kubelet and images stay, /run, pins, namespaces and cgroups are gone."""

import os
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NAMESPACES = ["-m", "-u", "-i", "-n", "-p", "-C"]


class Trouble(Exception):
    """What went wrong and where to look."""


def wait_for(check, within, what, every=0.05):
    """Polls until check() is truthy and returns it."""
    end = time.monotonic() + within
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble(f"{what}: not within {within} s")
        time.sleep(every)


def cgroup_roots():
    """Every hierarchy's mount point: one on a pure v2 host, one for each controller on a hybrid one."""
    with open("/proc/mounts", encoding="ascii") as mounts:
        return [fields[1] for fields in (line.split() for line in mounts) if fields[2] in ("cgroup", "cgroup2")]


class Machine:
    def __init__(self, name, directory, prefix):
        self.name, self.dir = name, directory
        self.cgroups = [f"{root}/{prefix}-{name}" for root in cgroup_roots()]

    # --- life
    def start(self, init):
        os.makedirs(f"{self.dir}/log", exist_ok=True)
        self.remove_cgroups()
        for path in self.cgroups:
            os.mkdir(path)
            for limit in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset has none, and then takes no process
                if os.path.exists(f"{path}/{limit}") and not open(f"{path}/{limit}", encoding="ascii").read().strip():
                    shutil.copyfile(f"{os.path.dirname(path)}/{limit}", f"{path}/{limit}")
        ready = f"{self.dir}/ready"
        if os.path.exists(ready):
            os.remove(ready)
        argv = ["unshare", *NAMESPACES, "--fork", "--propagation", "private", "bash", f"{HERE}/machine-init.sh", self.name, self.dir, init]
        starter = self._popen(argv, "init", inside=False)
        wait_for(lambda: os.path.exists(ready) or starter.poll() is not None, 20, f"machine {self.name}")
        if not os.path.exists(ready):
            raise Trouble(f"machine {self.name} did not start, see {self.dir}/log/init.log")
        with open(f"/proc/{starter.pid}/task/{starter.pid}/children", encoding="ascii") as children:
            self._write("init.pid", children.read().strip())
        wait_for(lambda: self.pid() is not None, 10, f"the first process of machine {self.name}")  # it says ready, then becomes init

    def pid(self):
        """Of its first process, as the host sees it; None when it is off."""
        try:
            with open(f"{self.dir}/init.pid", encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                return pid if line.read().startswith(self.init_name().encode()) else None
        except (OSError, ValueError):
            return None

    def init_name(self):
        return os.path.join(os.path.dirname(self.dir), "init")

    def power_off(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}") or self.pid() is None, 20, f"the end of machine {self.name}")
        if os.path.exists(f"{self.dir}/init.pid"):
            os.remove(f"{self.dir}/init.pid")
        self.remove_cgroups()

    def remove_cgroups(self):
        """Pods' directories of a former life would cost the next kubelet 3 s each."""
        def gone():
            left = False
            for top in self.cgroups:
                for path, _, _ in os.walk(top, topdown=False):
                    try:
                        os.rmdir(path)
                    except OSError:
                        left = True  # a killed process may need a moment to leave it
            return not left
        wait_for(gone, 10, f"the cgroups of machine {self.name} to be empty")

    # --- work inside
    def spawn(self, process, *argv):
        """A daemon, its log in log/PROCESS.log; ends with the machine."""
        started = self._popen(list(argv), process, inside=True)
        self._write(f"{process}.pid", str(started.pid))
        return started.pid

    def run(self, *argv, check=True, timeout=60, **options):
        result = subprocess.run(self._enter(argv), preexec_fn=self._join, stdin=subprocess.DEVNULL if "input" not in options else None,
                                capture_output=True, text=True, timeout=timeout, check=False, **options)
        if check and result.returncode != 0:
            raise Trouble(f"{self.name}: {' '.join(argv)}: exit {result.returncode}: {(result.stderr or result.stdout)[-800:]}")
        return result

    def ip(self, *argv):
        """ip(8) in its network namespace only: a `netns PID` argument is read in the caller's pid namespace."""
        done = subprocess.run(["nsenter", "-t", str(self.pid()), "-n", "--", "ip", *argv], capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            raise Trouble(f"{self.name}: ip {' '.join(argv)}: {done.stderr.strip()}")

    def _enter(self, argv):
        return ["nsenter", "-t", str(self.pid()), *NAMESPACES, "--", *argv]

    def _join(self):
        for path in self.cgroups:
            with open(f"{path}/cgroup.procs", "w", encoding="ascii") as procs:
                procs.write(str(os.getpid()))

    def _popen(self, argv, process, inside):
        with open(f"{self.dir}/log/{process}.log", "ab") as log:
            return subprocess.Popen(self._enter(argv) if inside else argv, preexec_fn=self._join, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)

    def _write(self, name, text):
        with open(f"{self.dir}/{name}", "w", encoding="ascii") as file:
            file.write(text)
