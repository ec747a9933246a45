#!/usr/bin/env bash
# In the virtual machine (run.sh): what wants a kernel with everything, and what a kernel may do in another way.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/vm/tests.sh
tests --project vm
tests --project unit test/unit/monitor/program.test.ts test/unit/runner
tests --project mount test/mount/hostile-tools.test.ts test/mount/starter.test.ts test/mount/events.test.ts
tests --project mount test/mount/tool-network.test.ts test/mount/posix.test.ts
exit "$failed"
