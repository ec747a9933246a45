#!/usr/bin/env bash
# Everything that `make test` checks. Static checks and unit tests share the two cores; the mount tests follow.
set -uo pipefail
cd "$(dirname "$0")/.."
export CLAWFS_WARN_FATAL=1
logs=$(mktemp -d)
# All temporary files of this run, mount points above all, so that they can be told from those of another one. Not on tmpfs,
# which lacks what a store needs; open to the users that tests run programs as.
base=${TMPDIR:-/tmp}
if [ "$(stat -f -c %T "$base")" = tmpfs ]; then base=/var/tmp; fi
TMPDIR=$(realpath "$(mktemp -d "$base/ct-XXXXXX")")
export TMPDIR
chmod 1777 "$TMPDIR"
trap 'rm -rf --one-file-system "$logs" "$TMPDIR"' EXIT
failed=0

# run NAME COMMAND...: in the background, output kept until the end
declare -A pids
run() {
  local name=$1
  shift
  "$@" >"$logs/$name" 2>&1 &
  pids[$name]=$!
}
finish() {
  local name
  for name in "$@"; do
    if wait "${pids[$name]}"; then echo "== $name: passed"; else
      echo "== $name: FAILED"
      failed=1
    fi
    cat "$logs/$name"
  done
}

run types npx --no-install tsc -p tsconfig.json
run format npx --no-install prettier --check .
finish types format
run lint npx --no-install eslint . --max-warnings 0
run unit npx --no-install vitest run --project 'unit*' --reporter verbose
finish lint unit
echo "== mount"
npx --no-install vitest run --project mount --reporter verbose 2>&1 | tee "$logs/mount" || failed=1
echo "== vm: not part of this (an emulated processor takes a quarter of an hour or more): make test-vm"
left=$(awk -v below="$TMPDIR/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo)
if [ -n "$left" ]; then
  echo "== leftovers: FAILED, these mounts were left behind:"
  echo "$left"
  failed=1
fi
if [ "$failed" = 0 ]; then echo "all tests passed"; else
  echo "== what failed, once more:"
  sed 's/\x1b\[[0-9;]*m//g' "$logs"/* | grep -aE -A 12 '^ *FAIL |error TS|^\[warn\]|  error  ' | head -n 150
  echo "some tests FAILED"
fi
exit "$failed"
