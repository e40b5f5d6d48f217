#!/usr/bin/python3
"""Makes a Helm chart of deploy/daemonset's profiles: build/chart/weft, for `helm install weft build/chart/weft` or `helm package`. An object that is
the same in every profile is written once; one that is not, once for each. Values: profile, registry, tag, imagePullPolicy, replicas."""

import argparse
import os
import shutil
import sys

import yaml
from manifests import Wrong, compose, containers, key

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROFILES = ["default", "istio-compat", "minimal", "high-availability"]
REGISTRY = "docker.io/weft"
VALUES = """# default, istio-compat, minimal or high-availability
profile: default
# Where the images are, and their tag (empty: the chart's appVersion).
registry: docker.io/weft
tag: ""
# Always, IfNotPresent, Never; empty: the cluster's default.
imagePullPolicy: ""
# Of the control plane; 0: what the profile says.
replicas: 0
"""
# Stand-ins that survive a YAML dump, each for a template.
IMAGE = "{{ .Values.registry }}/%s:{{ .Values.tag | default .Chart.AppVersion }}"
REPLICAS = 987650000
POLICY = "weft-chart-policy"


def version():
    with open(f"{ROOT}/CMakeLists.txt", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("project("))
    return line.split("VERSION")[1].split()[0].rstrip(")")


def template(one):
    """The object's text, with the values in it."""
    for container in containers(one):
        name, _, tag = container["image"].rpartition("/")[2].partition(":")
        if container["image"] != f"{REGISTRY}/{name}:{tag}" or tag != version():
            raise Wrong(f"{container['image']}: not {REGISTRY}/NAME:{version()}")
        container["image"] = IMAGE % name
        container["imagePullPolicy"] = POLICY
    replicas = None
    if one["kind"] == "Deployment":
        replicas = one["spec"]["replicas"]
        one["spec"]["replicas"] = REPLICAS
    text = yaml.safe_dump(one, sort_keys=False, width=1000)
    plain = text
    for stand_in in {IMAGE % c["image"].split("/")[-1].split(":")[0] for c in containers(one)}:
        plain = plain.replace(stand_in, "")
    if "{{" in plain:
        raise Wrong(f"{key(one)}: {{{{ means something to Helm")
    lines = []
    for line in text.splitlines():
        if line.strip() == f"imagePullPolicy: {POLICY}":
            lines += ["{{- if .Values.imagePullPolicy }}", line.replace(POLICY, "{{ .Values.imagePullPolicy }}"), "{{- end }}"]
        else:
            lines.append(line.replace(f"replicas: {REPLICAS}", f"replicas: {{{{ .Values.replicas | default {replicas} }}}}"))
    return "\n".join(lines) + "\n"


def body(of_profile):
    """One object in the profiles that have it: {profile: text}."""
    texts = {}
    for profile, text in of_profile.items():
        texts.setdefault(text, []).append(profile)
    if len(texts) == 1 and len(of_profile) == len(PROFILES):
        return next(iter(texts))
    out = ""
    for number, (text, profiles) in enumerate(texts.items()):
        names = " ".join(f'"{name}"' for name in profiles)
        out += f"{{{{- {'else ' if number else ''}if has .Values.profile (list {names}) }}}}\n{text}"
    return out + "{{- end }}\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def make(out):
    objects = {}
    for profile in PROFILES:
        for one in compose(f"{ROOT}/deploy/daemonset/overlays/{profile}"):
            objects.setdefault(key(one), {})[profile] = template(one)
    shutil.rmtree(out, ignore_errors=True)
    write(f"{out}/Chart.yaml", f"apiVersion: v2\nname: weft\ndescription: A service mesh without sidecars.\ntype: application\nversion: {version()}\n"
                               f'appVersion: "{version()}"\nkubeVersion: ">= 1.30.0-0"\n')
    write(f"{out}/values.yaml", VALUES)
    names = " ".join(f'"{name}"' for name in PROFILES)
    write(f"{out}/templates/check.yaml", f"{{{{- if not (has .Values.profile (list {names})) }}}}\n"
                                         f'{{{{- fail (printf "profile: %q is none of {", ".join(PROFILES)}" .Values.profile) }}}}\n{{{{- end }}}}\n')
    for (_, kind, ns, name), of_profile in objects.items():
        file = "-".join(part for part in (kind.lower(), "" if ns in ("", "weft-system") else ns, name) if part)
        write(f"{out}/templates/{file}.yaml", body(of_profile))
    return len(objects)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=f"{ROOT}/build/chart/weft", help="default: build/chart/weft")
    args = parser.parse_args()
    try:
        count = make(args.out)
    except (Wrong, OSError, KeyError) as error:
        print(f"chart: {error}", file=sys.stderr)
        return 1
    print(f"chart: weft {version()}, {count} templates, {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
