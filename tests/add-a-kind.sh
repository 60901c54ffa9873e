#!/bin/sh
# Adds the kind that ARCHITECTURE.md adds, in a copy of what git knows, and runs the cases: what the page says is true.
set -eu
cd "$(dirname "$0")/.."
page=$PWD/ARCHITECTURE.md
target=${CARGO_TARGET_DIR:-$PWD/target}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory="$copy"
cd "$copy"

# block LANGUAGE N: the Nth block of a language below "Add a kind".
block() {
    sed '1,/^## Add a kind/d' "$page" | awk -v fence="\`\`\`$1" -v wanted="$2" '
        /^```$/ { inside = 0 } inside { print } $0 == fence { inside = ++seen == wanted }'
}
mkdir tests/cases/hostname
block rust 1 >src/resource/hostname.rs
block yaml 1 >tests/cases/hostname/update.yml
block yaml 2 >tests/cases/hostname/same.yml
line=$(block rust 2)
sed -i "/^kinds! {/a\\
$line" src/resource/mod.rs
[ -n "$line" ] && grep -q "$line" src/resource/mod.rs
CARGO_TARGET_DIR=$target cargo test --test main cases::
