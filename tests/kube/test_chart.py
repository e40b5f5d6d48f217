"""The Helm chart gives what kustomize gives. Rendered by Helm where WEFT_HELM names one; else by the part of its language that the chart uses."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from control_plane import ROOT

sys.path.insert(0, f"{ROOT}/tools")
import chart  # noqa: E402
import manifests  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("chart") / "weft")
    chart.make(path)
    return path


def condition(text, values):
    found = re.fullmatch(r"has \.Values\.profile \(list (.*)\)", text)
    if found:
        return values["profile"] in re.findall(r'"([^"]+)"', found.group(1))
    found = re.fullmatch(r"\.Values\.(\w+)", text)
    assert found, text
    return bool(values[found.group(1)])


def value(text, values):
    found = re.fullmatch(r"\.Values\.(\w+)(?: \| default (.*))?", text)
    assert found, text
    return str(values[found.group(1)] or {".Chart.AppVersion": chart.version()}.get(found.group(2), found.group(2)))


def by_hand(text, values):
    """if / else if / end, one a line, and values."""
    out, stack = [], []  # of each if: [now, ever]
    for line in text.splitlines():
        found = re.fullmatch(r"\{\{- (if|else if|end) ?(.*?) ?\}\}", line)
        if not found:
            if all(now for now, _ in stack):
                out.append(re.sub(r"\{\{ (.*?) \}\}", lambda m: value(m.group(1), values), line))
        elif found.group(1) == "end":
            stack.pop()
        else:
            holds = condition(found.group(2), values)
            ever = stack.pop()[1] if found.group(1) == "else if" else False
            stack.append([holds and not ever, holds or ever])
    assert not stack
    return "\n".join(out)


def render(folder, **values):
    helm = os.environ.get("WEFT_HELM")
    if helm:
        sets = [word for name, one in values.items() for word in ("--set", f"{name}={one}")]
        done = subprocess.run([helm, "template", "weft", folder, "--kube-version=1.34.4", *sets], capture_output=True, text=True, check=True, timeout=60)
        return [one for one in yaml.safe_load_all(done.stdout) if one]
    with open(f"{folder}/values.yaml", encoding="utf-8") as file:
        values = {**yaml.safe_load(file), **values}
    objects = []
    for name in sorted(os.listdir(f"{folder}/templates")):
        if name == "check.yaml":
            continue
        with open(f"{folder}/templates/{name}", encoding="utf-8") as file:
            objects += [one for one in yaml.safe_load_all(by_hand(file.read(), values)) if one]
    return objects


def by_key(objects):
    return {manifests.key(one): one for one in objects}


@pytest.mark.parametrize("profile", chart.PROFILES)
def test_the_chart_is_the_overlay(folder, profile):
    assert by_key(render(folder, profile=profile)) == by_key(manifests.compose(f"{ROOT}/deploy/daemonset/overlays/{profile}"))


def test_values_land_where_they_belong(folder):
    made = by_key(render(folder, registry="r.example/w", tag="7", imagePullPolicy="Never", replicas=3))
    plane = made["apps", "Deployment", "weft-system", "weft-controlplane"]
    assert plane["spec"]["replicas"] == 3
    images = {(c["image"], c["imagePullPolicy"]) for one in made.values() for c in manifests.containers(one)}
    assert images == {("r.example/w/controlplane:7", "Never"), ("r.example/w/node:7", "Never")}
