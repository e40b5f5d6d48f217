"""A real Kubernetes cluster on one machine: a control plane and nodes, each a machine of its own (see README.md)."""
