#!/usr/bin/python3
"""Composes deploy/daemonset as `kubectl kustomize` does, from the part of kustomize that it uses: resources, components, labels, images, and
patches (JSON 6902, or `$patch: delete`). Anything else in a kustomization is refused.

manifests.py DIR                                  the objects as YAML
manifests.py --json --out FILE NAME=DIR…          {NAME: [objects]} as JSON
manifests.py --cpp VARIABLE --out FILE NAME=DIR…  the same as a C++ string (weftctl has it in it)
"""

import argparse
import copy
import json
import os
import sys

import yaml

KNOWN = {"apiVersion", "kind", "resources", "components", "labels", "images", "patches"}
LITERAL_BYTES = 8192


class Wrong(Exception):
    pass


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [one for one in yaml.safe_load_all(file) if one is not None]
    except (OSError, yaml.YAMLError) as error:
        raise Wrong(f"{path}: {error}") from error


def key(one):
    return one["apiVersion"].rpartition("/")[0], one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def walk(value, path, where):
    """The container and the last step of a JSON pointer."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    for step in steps[:-1]:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError) as error:
            raise Wrong(f"{where}: path {path}: no {step}") from error
    last = steps[-1]
    return value, (len(value) if last == "-" else int(last)) if isinstance(value, list) else last


def patch(one, operations, where):
    for operation in operations:
        op, path = operation["op"], operation["path"]
        holder, last = walk(one, path, where)
        there = last < len(holder) if isinstance(holder, list) else last in holder
        if op in ("replace", "remove", "test") and not there:
            raise Wrong(f"{where}: {op} {path}: nothing is there")
        if op == "test":
            if holder[last] != operation["value"]:
                raise Wrong(f"{where}: test {path}: it is {holder[last]!r}")
        elif op == "remove":
            del holder[last]
        elif op == "add" and isinstance(holder, list):
            holder.insert(last, copy.deepcopy(operation["value"]))
        elif op in ("add", "replace"):
            holder[last] = copy.deepcopy(operation["value"])
        else:
            raise Wrong(f"{where}: op {op}: not supported")


def apply_patches(objects, kustomization, where):
    for entry in kustomization.get("patches", []):
        target, text = entry["target"], yaml.safe_load(entry["patch"])
        hit = [one for one in objects if one["kind"] == target["kind"] and one["metadata"]["name"] == target["name"]]
        if set(target) != {"kind", "name"} or not hit:
            raise Wrong(f"{where}: patches: target {target}: nothing matches")
        for one in hit:
            if isinstance(text, list):
                patch(one, text, where)
            elif text.get("$patch") == "delete":
                objects.remove(one)
            else:
                raise Wrong(f"{where}: patches: neither JSON 6902 nor $patch: delete")


def containers(one):
    spec = one.get("spec", {}).get("template", {}).get("spec", {})
    return spec.get("initContainers", []) + spec.get("containers", [])


def apply_images(objects, images):
    names = {image["name"]: f"{image.get('newName', image['name'])}:{image['newTag']}" for image in images}
    for one in objects:
        for container in containers(one):
            container["image"] = names.get(container["image"], container["image"])


def compose(directory, objects=None):
    """The objects of a kustomization; a component is given those that are there."""
    where = f"{directory}/kustomization.yaml"
    kustomization = load(where)[0]
    unknown = set(kustomization) - KNOWN
    if unknown:
        raise Wrong(f"{where}: {', '.join(sorted(unknown))}: tools/manifests.py does not know it")
    objects = [] if objects is None else objects
    for name in kustomization.get("resources", []):
        path = os.path.normpath(f"{directory}/{name}")
        objects += compose(path) if os.path.isdir(path) else json.loads(json.dumps(load(path)))  # an alias becomes a copy
    for name in kustomization.get("components", []):
        compose(os.path.normpath(f"{directory}/{name}"), objects)
    apply_patches(objects, kustomization, where)
    for group in kustomization.get("labels", []):
        if set(group) != {"pairs"}:
            raise Wrong(f"{where}: labels: only pairs are known")
        for one in objects:
            one["metadata"].setdefault("labels", {}).update(group["pairs"])
    apply_images(objects, kustomization.get("images", []))
    keys = [key(one) for one in objects]
    twice = {one for one in keys if keys.count(one) > 1}
    if twice:
        raise Wrong(f"{where}: twice: {twice}")
    return objects


def literals(text):
    """As adjacent raw strings: a compiler limits the length of one."""
    data = text.encode()
    for start in range(0, len(data), LITERAL_BYTES):
        yield f'R"weft({data[start:start + LITERAL_BYTES].decode("ascii")})weft"'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpp", metavar="VARIABLE")
    parser.add_argument("--out", metavar="FILE")
    parser.add_argument("what", nargs="+", metavar="[NAME=]DIR")
    args = parser.parse_args()
    try:
        if args.json or args.cpp:
            text = json.dumps({name: compose(path) for name, path in (one.split("=", 1) for one in args.what)})
        else:
            text = yaml.safe_dump_all((one for path in args.what for one in compose(path)), sort_keys=False, width=1000)
    except (Wrong, KeyError, TypeError) as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    if args.cpp:
        lines = "\n    ".join(literals(text))
        text = f"// Made by tools/manifests.py. Not to be edited.\nextern const char* const {args.cpp};\nconst char* const {args.cpp} =\n    {lines};\n"
    if not args.out:
        sys.stdout.write(text)
        return 0
    with open(f"{args.out}.part", "w", encoding="utf-8") as out:
        out.write(text)
    os.rename(f"{args.out}.part", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
