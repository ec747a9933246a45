#!/usr/bin/env bash
# Compiles bpf/*.bpf.c into the objects that are committed, so that users need no compiler. The same compiler gives the
# same bytes anywhere: clang 14 (Debian 12), with libbpf's helpers 1.1.
# usage: scripts/build-bpf.sh [DIRECTORY]
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../bpf}")
cd "$(dirname "$0")/../bpf"
if ! command -v clang >/dev/null || [ ! -e /usr/include/bpf/bpf_helpers.h ]; then
  echo "build-bpf: clang and libbpf's headers are needed (as root: apt-get install clang llvm libbpf-dev)" >&2
  exit 1
fi
for source in *.bpf.c; do
  object=$output/${source%.c}.o
  clang -target bpf -mcpu=v3 -O2 -g -D__TARGET_ARCH_x86 -Wall -Wextra -Werror -Wno-unused-parameter \
    -fdebug-compilation-dir=. -c "$source" -o "$object.new"
  # The kernel's type format stays, the debugger's goes.
  llvm-strip -g "$object.new"
  mv "$object.new" "$object"
done
