# The tools are those on the path. `wit-bindgen` is fetched into `.tools` by cargo if it is not there.
GO := go
# `withe build` says which one it is itself.
WITHE ?= withe
WIT_BINDGEN := $(or $(shell command -v wit-bindgen),.tools/bin/wit-bindgen)

# Compiled in a minute or two; without optimisation, which would take twice as long. `cargo install` without `--root` does so once for all projects.
.tools/bin/wit-bindgen:
	cargo install --quiet --debug --locked --root .tools --no-default-features --features go wit-bindgen-cli@0.63.0
