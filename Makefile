# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs, builds, shows progress, and is quick the second time.
.DEFAULT_GOAL := help
PRESET ?= release
export OPENSSL ?=
BIN := build/$(PRESET)/bin
export CCACHE_MAXSIZE ?= 5G

help:
	@echo 'make demo      build, then run a two-node mesh in a sandbox and tell what happened (KEEP=1 leaves it running)'
	@echo 'make test      everything CI runs; the last line is "N passed, N failed" (ONLY=unit,netns picks stages; K=word picks tests)'
	@echo 'make build     build into $(BIN) (PRESET=dev for warnings as errors; OPENSSL=bundled for a newer, faster one)'
	@echo 'make deps      install the Debian packages, fetch the pinned proto package and Envoy'
	@echo 'make bench     speed and memory against no mesh and the budgets, in a sandbox (QUICK=1 only shows that it works)'
	@echo 'make test-soak the long forms of the fault tests'
	@echo 'make test-kube Weft on a real Kubernetes cluster (the first run builds Kubernetes from Go modules)'
	@echo 'make kube-up   such a cluster with Weft on it, to play with                    make kube-down  and away'
	@echo 'make crds      the CRDs of Gateway API and Istio, from their Go modules, where `weftctl install` looks for them'
	@echo 'make test-labs the labs and demos with full statistics'
	@echo 'make fmt       clang-format everything                     make tidy        clang-tidy and the house rules'
	@echo 'make clean     remove build/'

deps:
	@tools/deps.sh

build: deps
	@if [ '$(OPENSSL)' = bundled ]; then tools/openssl.sh; fi
	@tools/build.sh $(PRESET)

demo: build
	@tools/demo.sh

test: build
	@tests/run.py --preset $(PRESET) $(if $(ONLY),--only $(ONLY)) $(if $(K),-k $(K))

test-soak: build
	@tests/run.py --preset $(PRESET) --only soak

test-kube: build
	@tests/run.py --preset $(PRESET) --only kube $(if $(K),-k $(K))

KUBE = WEFT_BIN=$(CURDIR)/$(BIN) WEFT_KUBE_BIN=$$(tools/kube/build.sh all) WEFT_KUBE_CRDS=$$(tools/kube/build.sh crds) /usr/bin/python3 -B tests/kube/mesh.py

kube-up: build
	@$(KUBE) up
	@echo 'try: make kube-kubectl ARGS="get pods -A -o wide"'

kube-down:
	@$(KUBE) down

kube-kubectl:
	@$(KUBE) kubectl $(ARGS)

# The CRDs of Gateway API and Istio, where weftctl looks for them.
crds:
	@mkdir -p build/$(PRESET)/share/weft && ln -sfn "$$(tools/kube/build.sh crds)" build/$(PRESET)/share/weft/crds

test-labs: build
	@tests/run.py --preset $(PRESET) --only labs

bench: build
	@tests/bench/run.py --bin $(CURDIR)/$(BIN) --json $(CURDIR)/build/bench.json $(if $(QUICK),--quick)

fmt:
	@git ls-files '*.cc' '*.h' '*.c' | xargs clang-format-19 -i

tidy: build
	@tests/tidy/rules.py
	@git diff --name-only --diff-filter=d $${BASE:-HEAD~20} -- '*.cc' | grep -v '^tests/' | xargs -r clang-tidy-19 -p build/$(PRESET) --quiet

clean:
	rm -rf build

.PHONY: help deps build demo test test-soak test-kube kube-up kube-down kube-kubectl crds test-labs bench fmt tidy clean
