#!/usr/bin/env bash
# In the virtual machine (run.sh), on a kernel other than all.sh's: what the kernel has most to do with.
set -uo pipefail
cd "$(dirname "$0")/../.."
export CLAWFS_WARN_FATAL=1
failed=0
echo "Linux $(uname -r), $(cat /sys/kernel/security/lsm), control groups: $(cat /sys/fs/cgroup/cgroup.controllers)"
tests() {
  echo "== $*"
  node node_modules/vitest/vitest.mjs run --maxWorkers 1 --reporter verbose "$@" || failed=1
}
tests --project unit test/unit/monitor/program.test.ts
tests --project vm test/vm/controls.test.ts
tests --project mount test/mount/starter.test.ts test/mount/events.test.ts
exit "$failed"
