// The CRDs that tests install: the module zips carry them as YAML. No Go code is built from here.
module weft.dev/tools/kube/crds

go 1.24.0

require (
	istio.io/api v1.31.1
	sigs.k8s.io/gateway-api v1.4.1
)
