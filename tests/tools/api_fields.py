#!/usr/bin/env python3
"""Lists every field of the CustomResourceDefinitions in YAML files: KIND.GROUP PATH TYPE DETAIL.

Used once per version of an API to write tests/data/api_fields/*.txt:
  go mod download istio.io/api@VERSION sigs.k8s.io/gateway-api@VERSION
  tests/tools/api_fields.py "istio.io/api VERSION" …/customresourcedefinitions.gen.yaml
A list is [], a map with free keys {}.
"""
import sys

import yaml


def walk(schema, path, rows):
    properties = schema.get("properties")
    if properties:
        for name, inner in properties.items():
            walk(inner, f"{path}.{name}", rows)
    elif schema.get("type") == "array":
        walk(schema["items"], f"{path}[]", rows)
    elif isinstance(schema.get("additionalProperties"), dict):
        walk(schema["additionalProperties"], path + "{}", rows)
    elif "enum" in schema:
        rows.append((path, "enum", "|".join(map(str, schema["enum"]))))
    elif schema.get("x-kubernetes-int-or-string"):
        rows.append((path, "integer", ""))
    else:
        rows.append((path, schema.get("type", "any"), ""))


def main():
    print(f"# Every field of {sys.argv[1]}, by tests/tools/api_fields.py.")
    for name in sys.argv[2:]:
        with open(name, encoding="utf-8") as file:
            for crd in yaml.safe_load_all(file):
                if not crd or crd.get("kind") != "CustomResourceDefinition":
                    continue
                spec = crd["spec"]
                kind = f"{spec['names']['kind']}.{spec['group']}"
                for version in spec["versions"]:
                    if not version.get("storage"):
                        continue
                    rows = []
                    walk(version["schema"]["openAPIV3Schema"]["properties"].get("spec", {}), "spec", rows)
                    for row in rows:
                        print(" ".join((kind, *row)).rstrip())


main()
