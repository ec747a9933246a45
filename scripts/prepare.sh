#!/usr/bin/env bash
# Run by npm for `npm i -g .`, which links this folder and installs nothing in it; and by the `npm ci` of setup.sh itself,
# where there is nothing left to do.
set -euo pipefail
[ -n "${CLAWFS_SETUP:-}" ] && exit 0
# What `npm i -g` was told is not for the packages of this folder.
unset npm_config_global npm_config_prefix npm_config_location npm_config_local_prefix
exec "$(dirname "$0")/setup.sh" install
