#!/usr/bin/env bash
# Everything that `make test` checks. Static checks and unit tests share the two cores; the mount tests follow.
set -uo pipefail
cd "$(dirname "$0")/.."
export CLAWFS_WARN_FATAL=1
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
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

before=$(grep -c fuse.clawfs /proc/self/mountinfo)
run types npx --no-install tsc -p tsconfig.json
run format npx --no-install prettier --check .
finish types format
run lint npx --no-install eslint . --max-warnings 0
run unit npx --no-install vitest run --project unit --reporter verbose
finish lint unit
echo "== mount"
npx --no-install vitest run --project mount --reporter verbose || failed=1
after=$(grep -c fuse.clawfs /proc/self/mountinfo)
if [ "$after" -gt "$before" ]; then
  echo "== leftovers: FAILED, $((after - before)) ClawFS mounts were left behind"
  failed=1
fi
if [ "$failed" = 0 ]; then echo "all tests passed"; else echo "some tests FAILED"; fi
exit "$failed"
