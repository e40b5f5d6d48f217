"""Addresses of the cluster. They live in its machines' own network namespaces only."""

BRIDGE = "wkbr"
API_IP = "10.250.0.1"
SERVICES = "10.96.0.0/16"
SERVICE_API_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
PODS = "10.244.0.0/16"


def node_ip(number):
    return f"10.250.0.1{number}"


def pods_of(number):
    return f"10.244.{number - 1}.0/24"
