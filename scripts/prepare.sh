#!/usr/bin/env bash
# Run by npm for `npm i -g .`, which links this folder and installs nothing in it; and by the `npm ci` of setup.sh itself,
# where there is nothing left to do.
set -euo pipefail
[ -n "${CLAWFS_SETUP:-}" ] && exit 0
exec "$(dirname "$0")/setup.sh" install
