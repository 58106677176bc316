# The steps of .ci/run, one by one. `just --list` shows them.

# Everything a change must pass
ci:
    .ci/run

# Formatting of Rust code
format:
    cargo fmt --all --check

# Lints of Rust code
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Shell scripts, workflows, spelling
text:
    .ci/lint

# Circles of imports between files
imports:
    cargo test -p svc-reach-tests --test imports

# Tests that need no cluster
test:
    cargo build -p svc-reach -p svc-reach-probe
    cargo test --workspace

# Every test, on a real Kubernetes
test-all:
    tests/run

# A run on a real Kubernetes of three nodes
demo:
    ./demo

# Record help, outputs and errors anew
snapshots:
    UPDATE_EXPECT=1 cargo test -p svc-reach --lib
