#!/usr/bin/env bash
# In the virtual machine (run.sh), on a kernel other than all.sh's: what the kernel has most to do with.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/vm/tests.sh
tests --project unit test/unit/monitor/program.test.ts
tests --project vm test/vm/controls.test.ts
tests --project mount test/mount/starter.test.ts test/mount/events.test.ts
exit "$failed"
