#!/usr/bin/env bash
# Fuzzes: fuzz/run.sh RUNS [TARGET...] gives each target so many inputs, one target after the other, and says how many it took and how fast.
# SECONDS_EACH ends a target earlier; TIMEOUT is how many seconds one input may take, with room for a machine that has other work. What is
# found is in fuzz/artifacts/TARGET, new inputs worth keeping are in fuzz/grown/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=$1
shift
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
# The versions of the workspace.
cp Cargo.lock fuzz/Cargo.lock
built=${CARGO_TARGET_DIR:-$PWD/fuzz/target}
# Without a sanitizer the stable compiler will do: see docs/decisions/0038-fuzzing.md.
cargo fuzz build --sanitizer none --target-dir "$built"
host=$(rustc -vV | sed -n 's/^host: //p')
# Files that a target reads are in memory.
TMPDIR=$(mktemp -d -p /dev/shm)
export TMPDIR
log=$TMPDIR/log
trap 'rm -rf "$TMPDIR"' EXIT
for target in "${targets[@]}"; do
    mkdir -p "fuzz/grown/$target" "fuzz/artifacts/$target"
    dictionary=fuzz/dictionaries/$target
    options=(-runs="$runs" -max_total_time="${SECONDS_EACH:-0}" -timeout="${TIMEOUT:-60}" -rss_limit_mb=512 -max_len=8192
        -artifact_prefix="fuzz/artifacts/$target/" -print_final_stats=1 -close_fd_mask=1)
    [ -f "$dictionary" ] && options+=(-dict="$dictionary")
    if ! "$built/$host/release/$target" "${options[@]}" "fuzz/grown/$target" "fuzz/corpus/$target" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$target: an input breaks the contract: it is in fuzz/artifacts/$target; put it into fuzz/corpus/$target when it is mended"
        exit 1
    fi
    awk -v target="$target" '/stat::number_of_executed_units/ {runs = $2} /stat::average_exec_per_sec/ {speed = $2}
        /stat::peak_rss_mb/ {rss = $2} END {printf "%-12s %9d inputs, %6d a second, %4d MB\n", target, runs, speed, rss}' "$log"
done
