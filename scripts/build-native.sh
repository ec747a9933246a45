#!/usr/bin/env bash
# Puts beside the compiled modules what is not TypeScript: two objects for the kernel, and three small programs. Without a compiler tools can't be run, and
# nothing else is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
# Programs for the kernel are committed; scripts/build-bpf.sh makes them.
mkdir -p build/modules/bpf
cp bpf/*.bpf.o build/modules/bpf/
if ! command -v cc >/dev/null; then
  echo "setup: no C compiler: tools can't be run (as root: apt-get install gcc libc6-dev)" >&2
  exit 0
fi
node build/modules/clawfs/seccomp/launcher-header-main.js >build/launcher-filter.h
for name in launcher keeper starter; do
  target=build/modules/clawfs/runner/$name
  cc -static -O2 -s -I build -Wall -Wextra -Werror -o "$target.new" "clawfs/runner/$name.c"
  # Sandboxes execute it as another user.
  chmod 755 "$target.new"
  mv "$target.new" "$target"
done
