#!/usr/bin/env bash
# usage: all.sh [--only NAME,...]
# In the virtual machine (run.sh): what wants a kernel with everything, and what a kernel may do in another way.
set -uo pipefail
. "$(dirname "$0")/tests.sh"
tests vm test/vm/*.test.ts
tests unit test/unit/monitor/program.test.ts test/unit/runner/*.test.ts test/unit/keyring/tpm.test.ts test/unit/vault/{tpm,tpm-note}.test.ts
tests mount test/mount/{starter,events,link,tool-network,hostile-tools,daemon-filter,posix}.test.ts
run_tests "$@"
