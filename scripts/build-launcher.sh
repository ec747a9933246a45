#!/usr/bin/env bash
# Builds the program behind the files of tools/bin into dist. Without a compiler tools can't be run, and nothing else is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
target=dist/clawfs/runner/launcher
if ! command -v cc >/dev/null; then
  echo "setup: no C compiler: tools can't be installed (as root: apt-get install gcc libc6-dev)" >&2
  exit 0
fi
cc -static -Os -s -Wall -Wextra -Werror -o "$target.new" clawfs/runner/launcher.c
mv "$target.new" "$target"
