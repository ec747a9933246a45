#!/usr/bin/env bash
# usage: kernel.sh [--only NAME,...]
# In the virtual machine (run.sh), on a kernel other than all.sh's: what the kernel has most to do with.
set -uo pipefail
. "$(dirname "$0")/tests.sh"
tests unit test/unit/monitor/program.test.ts
tests vm test/vm/controls.test.ts
tests mount test/mount/{starter,events}.test.ts
run_tests "$@"
