#!/usr/bin/env bash
# Compiles bpf/monitor.bpf.c into the object that is committed, so that users need no compiler. The same compiler gives the
# same bytes anywhere: clang 14 (Debian 12), with libbpf's helpers 1.1.
# usage: scripts/build-bpf.sh [OUTPUT]
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../bpf/monitor.bpf.o}")
cd "$(dirname "$0")/../bpf"
if ! command -v clang >/dev/null || [ ! -e /usr/include/bpf/bpf_helpers.h ]; then
  echo "build-bpf: clang and libbpf's headers are needed (as root: apt-get install clang llvm libbpf-dev)" >&2
  exit 1
fi
clang -target bpf -mcpu=v3 -O2 -g -D__TARGET_ARCH_x86 -Wall -Wextra -Werror -Wno-unused-parameter \
  -fdebug-compilation-dir=. -c monitor.bpf.c -o "$output.new"
# The kernel's type format stays, the debugger's goes.
llvm-strip -g "$output.new"
mv "$output.new" "$output"
