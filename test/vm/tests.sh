# Sourced by what runs in the virtual machine, once the repository is the working directory: `tests` runs some, and what fails is kept in `failed`.
export CLAWFS_WARN_FATAL=1
failed=0
echo "Linux $(uname -r), $(cat /sys/kernel/security/lsm), control groups: $(cat /sys/fs/cgroup/cgroup.controllers)"
tests() {
  echo "== $*"
  node node_modules/vitest/vitest.mjs run --maxWorkers 1 --reporter verbose "$@" || failed=1
}
