#!/usr/bin/env bash
# Installs what the project needs and builds it. Quick when there is nothing to do.
# usage: scripts/setup.sh [demo|test|vm|bench|install]
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-demo}
export CLAWFS_SETUP=1

say() { printf 'setup: %s\n' "$*" >&2; }

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  say "Node.js 20.19 or newer and npm are needed: https://nodejs.org"
  exit 1
fi
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || {
  say "Node.js 20.19 or newer is needed, this is $(node -v)"
  exit 1
}

# library SONAME PACKAGE: names the package unless the library is there
library() {
  compgen -G "/usr/lib/*/$1" >/dev/null || compgen -G "/lib/*/$1" >/dev/null || echo "- $2"
}
# tss DRIVER...: tpm2-tss with these drivers
tss() {
  library libtss2-esys.so.0 libtss2-esys-3.0.2-0
  library libtss2-mu.so.0 libtss2-mu0
  library libtss2-rc.so.0 libtss2-rc0
  library libtss2-tctildr.so.0 libtss2-tctildr0
  for driver; do library "libtss2-tcti-$driver.so.0" "libtss2-tcti-${driver}0"; done
}
# command -> Debian package
needs() {
  echo fusermount3 fuse3
  echo git git
  # Tools run in bubblewrap, under a filter made by libseccomp, started by two small C programs.
  echo bwrap bubblewrap
  echo cc gcc
  [ -e /usr/include/stdio.h ] || echo '- libc6-dev'
  # What tools do is watched by a program in the kernel, which libbpf loads.
  library libbpf.so.1 libbpf1
  [ -n "$(ls /usr/lib*/libseccomp.so.2 /usr/lib/*/libseccomp.so.2 2>/dev/null)" ] || echo '- libseccomp2'
  case $purpose in
    demo | install)
      # What the vault needs to use a TPM, where there is one.
      [ ! -e /dev/tpmrm0 ] || tss device
      ;;
    test | vm)
      tss device swtpm pcap
      library libsodium.so.23 libsodium23
      # A bus of the tests' own, and the modules of the systemd-logind on it that is none.
      echo dbus-daemon dbus-daemon
      for module in dbus gi; do [ -e "/usr/lib/python3/dist-packages/$module" ] || echo "- python3-$module"; done
      # A server that tests start and stop by themselves, in a directory of their own.
      compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo '- postgresql'
      printf '%s\n' 'swtpm swtpm' 'tpm2_pcrread tpm2-tools' 'apparmor_parser apparmor'
      [ "$purpose" = test ] || printf '%s\n' 'qemu-system-x86_64 qemu-system-x86' 'mkfs.ext4 e2fsprogs' 'modprobe kmod' 'busybox busybox-static' 'cpio cpio'
      printf '%s\n' 'rsync rsync' 'strace strace' 'setfacl acl' 'setfattr attr' 'cc gcc' 'make make' 'tar tar' 'chattr e2fsprogs'
      ;;
    bench)
      printf '%s\n' 'cc gcc' 'make make' 'pkg-config pkg-config' 'gocryptfs gocryptfs' 'rsync rsync' 'rg ripgrep' 'crun crun' 'socat socat'
      [ -e /usr/include/fuse3/fuse.h ] || echo '- libfuse3-dev'
      ;;
  esac
  # better-sqlite3 is compiled where no prebuilt binary can be fetched.
  [ -d node_modules/better-sqlite3 ] || printf '%s\n' 'g++ g++' 'python3 python3' 'make make'
}
missing=$(needs | while read -r command package; do command -v "$command" >/dev/null || echo "$package"; done | sort -u | xargs)
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $missing"
    # Debian's package would make a cluster of its own and start it: nobody here wants one.
    if [[ " $missing " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
      mkdir -p /etc/postgresql-common
      echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null || {
      say "apt-get could not install: $missing"
      exit 1
    }
  else
    say "missing system packages: $missing (as root: apt-get install $missing)"
    [[ " $missing " == *" fuse3 "* && $(id -u) != 0 ]] && exit 1
  fi
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "npm ci"
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi

if [ ! -e dist/.built ] || [ -n "$(find clawfs keyring vault schema migrations bpf/*.o tsconfig*.json scripts/build-native.sh scripts/bundle.mjs -newer dist/.built -print -quit)" ]; then
  say "building"
  rm -rf dist build/modules
  npx --no-install tsc -p tsconfig.build.json
  scripts/build-native.sh
  node scripts/bundle.mjs
  chmod +x dist/clawfs/cli/main.js
  touch dist/.built
fi
