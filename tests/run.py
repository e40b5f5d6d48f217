#!/usr/bin/python3
"""Runs every stage of the test suite and adds the results up. The last line is `N passed, N failed`.

Stages: tidy, unit, sim, bpf (gtest through ctest), kube (the control plane on a real etcd and kube-apiserver, which the first run builds
from Go modules), netns (pytest against the sandbox), netns-epoll (the same with io_uring forbidden to
ztunnel), asan and tsan (unit and sim again under the sanitizers; asan is built with the fuzzer's preset, one build for both), fuzz (each
target for FUZZ_SECONDS, 30 by default). `soak` and `labs` (the
labs and demos with full statistics) run only when named. --only picks stages, -k picks tests.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STAGES = ["tidy", "unit", "sim", "bpf", "kube", "netns", "netns-epoll", "asan", "fuzz", "tsan"]
NAMED = ["soak", "labs"]  # run only when --only names them
# Minutes of Envoy's timers and statistics, and of the bench's own rows: what they ask of ztunnel's loop the other files ask too. In a run
# of everything they are left out of netns-epoll; ONLY=netns-epoll runs them.
L7_FILES = ["bench", "callista", "ingress", "lab12", "labs", "telemetry", "tracing"]
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "30"))
STAGE_LIMIT_S = 2400
KUBE_BUILD_LIMIT_S = 1800
PROGRESS_S = 20


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add_junit(self, path, stage):
        """Adds a JUnit file; a file that is missing or holds no test is itself a failure."""
        try:
            root = ElementTree.parse(path).getroot()
        except (OSError, ElementTree.ParseError) as error:
            self.fail(stage, f"no result file: {error}")
            return
        cases = list(root.iter("testcase"))
        if not cases:
            self.fail(stage, "no test ran")
        for case in cases:
            name = case.get("name") or "?"
            if case.find("failure") is not None or case.find("error") is not None:
                self.fail(stage, name)
            elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
                self.skipped += 1
            else:
                self.passed += 1

    def fail(self, stage, name):
        self.failed += 1
        self.failures.append(f"{stage}: {name}")


def run(argv, limit=STAGE_LIMIT_S, **kwargs):
    try:
        return subprocess.run(argv, cwd=ROOT, timeout=limit, stdin=subprocess.DEVNULL, **kwargs).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {limit} s: {' '.join(argv)}", flush=True)
        return 124


def ctest(tally, stage, preset, label, word):
    with tempfile.NamedTemporaryFile(suffix=".xml") as out:
        argv = ["ctest", "--test-dir", f"build/{preset}", "-L", f"^({label})$", "--output-junit", out.name,
                "-j", "1" if label == "bpf" else "2"]
        if word:
            argv += ["-R", word]
        run_with_progress(argv, stage)
        before = len(tally.failures)
        tally.add_junit(out.name, stage)
        show_failures(out.name, len(tally.failures) - before)


def run_with_progress(argv, stage):
    """ctest's own line for every test is too much; one every PROGRESS_S says where it is."""
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(STAGE_LIMIT_S, process.kill)
    timer.start()
    told = time.monotonic()
    for line in process.stdout:
        found = re.match(r"\s*(\d+/\d+) Test ", line)
        if found and time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            print(f"{stage}: {found.group(1)}", flush=True)
    process.wait()
    if not timer.is_alive():
        print(f"stopped after {STAGE_LIMIT_S} s: {' '.join(argv)}", flush=True)
    timer.cancel()


def show_failures(path, count):
    if not count:
        return
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is None:
            continue
        text = (case.findtext("system-out") or "").strip().splitlines()
        print(f"--- {case.get('name')}", *text[-25:], sep="\n", flush=True)


def pytest(tally, stage, paths, word, preset, **env):
    with tempfile.NamedTemporaryFile(suffix=".xml") as out:
        argv = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", f"--junitxml={out.name}", *paths]
        if word:
            argv += ["-k", word]
        run(argv, env={**os.environ, **env, "WEFT_BIN": f"{ROOT}/build/{preset}/bin", "PYTHONDONTWRITEBYTECODE": "1"})
        tally.add_junit(out.name, stage)


def kube(tally, stage, word, preset, whole):
    """tools/kube/build.sh says what it does on stderr, and on stdout where the binaries are. `whole`: with the nodes' binaries and the
    tests of test_cluster*.py, which need them: when the stage is named, not in a run of everything (it has its hour without them)."""
    where = []
    for what in ("all" if whole else "api", "crds"):
        try:
            done = subprocess.run(["tools/kube/build.sh", what], cwd=ROOT, timeout=KUBE_BUILD_LIMIT_S, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
        except subprocess.TimeoutExpired:
            tally.fail(stage, f"tools/kube/build.sh {what}: stopped after {KUBE_BUILD_LIMIT_S} s")
            return
        if done.returncode != 0 or not done.stdout.strip():
            tally.fail(stage, f"tools/kube/build.sh {what}")
            return
        where.append(done.stdout.strip().splitlines()[-1])
    paths = ["tests/kube"] if whole else ["tests/kube", "--ignore-glob=tests/kube/test_cluster*.py"]
    pytest(tally, stage, paths, word, preset, WEFT_KUBE_BIN=where[0], WEFT_KUBE_CRDS=where[1])


def sanitizer(tally, stage, preset, word):
    if run(["tools/build.sh", preset]) != 0:
        tally.fail(stage, "build")
        return
    ctest(tally, stage, preset, "unit|sim", word)


def fuzz(tally):
    if run(["tools/build.sh", "fuzz"]) != 0:
        tally.fail("fuzz", "build")
        return
    folder = f"{ROOT}/build/fuzz/fuzz"
    targets = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not targets:
        tally.fail("fuzz", "no target was built")
    running = []
    for target in targets:
        while len(running) >= 2:
            reap(tally, running)
        running.append(start_fuzz(folder, target))
    while running:
        reap(tally, running)


def start_fuzz(folder, target):
    work = tempfile.mkdtemp(prefix="weft-fuzz-")
    seeds = f"{ROOT}/tests/fuzz/{target.removesuffix('_fuzz')}/corpus"
    argv = [f"{folder}/{target}", f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
            f"-artifact_prefix={work}/", work] + ([seeds] if os.path.isdir(seeds) else [])
    log = open(f"{work}/log", "w+")
    return target, work, log, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=work)


def reap(tally, running):
    for item in list(running):
        target, work, log, process = item
        if process.poll() is None:
            continue
        running.remove(item)
        log.seek(0)
        text = log.read()
        runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
        if process.returncode == 0 and runs and int(runs.group(1)) > 0:
            tally.passed += 1
            print(f"fuzz: {target}: {runs.group(1)} runs", flush=True)
            subprocess.run(["rm", "-rf", work], check=False)
        else:
            tally.fail("fuzz", f"{target} (see {work})")
            print(text[-3000:], flush=True)
        return
    time.sleep(0.2)


def tidy(tally):
    code = run(["tests/tidy/rules.py"])
    tally.passed += code == 0
    if code != 0:
        tally.fail("tidy", "tests/tidy/rules.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="release")
    parser.add_argument("--only", default=",".join(STAGES), help="stages, comma-separated")
    parser.add_argument("-k", dest="word", default="", help="only tests whose name matches")
    args = parser.parse_args()
    stages = args.only.split(",")
    unknown = [s for s in stages if s not in STAGES + NAMED]
    if unknown:
        parser.error(f"no such stage: {', '.join(unknown)} (there are {', '.join(STAGES + NAMED)})")
    tally = Tally()
    for stage in stages:
        start = time.monotonic()
        before = (tally.passed, tally.failed)
        print(f"=== {stage}", flush=True)
        if stage == "tidy":
            tidy(tally)
        elif stage in ("unit", "sim", "bpf"):
            ctest(tally, stage, args.preset, stage, args.word)
        elif stage == "kube":
            kube(tally, stage, args.word, args.preset, whole=args.only != ",".join(STAGES))
        elif stage == "netns":
            pytest(tally, stage, ["tests/netns"], args.word, args.preset)
        elif stage == "netns-epoll":
            left_out = L7_FILES if args.only == ",".join(STAGES) else []
            paths = ["tests/netns", *(f"--ignore=tests/netns/test_{name}.py" for name in left_out)]
            pytest(tally, stage, paths, args.word, args.preset, WEFT_TEST_SET="denyIoUring=true")
        elif stage == "soak":
            pytest(tally, stage, ["tests/netns/test_faults.py"], args.word, args.preset, WEFT_SOAK="1")
        elif stage == "labs":
            pytest(tally, stage, [f"tests/netns/test_{name}.py" for name in ("ingress", "labs", "lab12", "callista")], args.word, args.preset, WEFT_LABS="1")
        elif stage in ("asan", "tsan"):
            sanitizer(tally, stage, "fuzz" if stage == "asan" else stage, args.word)
        elif stage == "fuzz":
            fuzz(tally)
        print(f"=== {stage}: {tally.passed - before[0]} passed, {tally.failed - before[1]} failed, "
              f"{time.monotonic() - start:.0f} s", flush=True)
    for failure in tally.failures:
        print(f"FAILED {failure}")
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
