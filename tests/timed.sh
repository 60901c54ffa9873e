#!/usr/bin/env bash
# Runs targets of make one after the other, until one fails, and says at the end how long each took.
set -u
table=
took() { printf '%s\n%-16s %3d min %2d s' "$table" "$1" $(($2 / 60)) $(($2 % 60)); }
status=0
for part in "$@"; do
    began=$SECONDS
    ${MAKE:-make} --no-print-directory "$part" || status=$?
    table=$(took "$part" $((SECONDS - began)))
    if [ "$status" -ne 0 ]; then
        table="$table  failed"
        break
    fi
done
table=$(took total "$SECONDS")
echo "$table"
exit "$status"
