# The steps of .ci/run as single commands. `just --list` shows them.

# Run everything that a change must pass
ci:
    .ci/run

# Check the formatting of Rust code
format:
    cargo fmt --all --check

# Lint Rust code
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Check shell scripts, workflows and spelling
text:
    .ci/lint

# Check that no files import each other in a circle
imports:
    cargo test -p svc-reach-tests --test imports

# Run the tests that need no cluster
test:
    cargo build -p svc-reach -p svc-reach-probe
    cargo test --workspace

# Run every test, on a real Kubernetes
test-all:
    tests/run

# Show a run on a real Kubernetes of three nodes
demo:
    ./demo

# Update the snapshots of help, outputs and errors
snapshots:
    UPDATE_EXPECT=1 cargo test -p svc-reach --lib
