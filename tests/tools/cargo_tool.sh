# shellcheck shell=bash
# For tests/run and tests/coverage, which set `tools` to the folder tests/.tools.

need_rust() {
    command -v cargo >/dev/null || {
        echo "cargo is missing. Install the Rust toolchain that Cargo.toml asks for: https://rustup.rs" >&2
        return 1
    }
}

# Sets `tool` to the program of a pinned crate, which is built on first use.
need_cargo_tool() {
    local name=$1 version=$2 folder=$tools/$1-$2
    tool=$folder/bin/$name
    need_rust || return
    [ -x "$tool" ] || cargo install --quiet --locked --version "$version" --root "$folder" "$name"
}
