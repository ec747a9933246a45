# Sourced by what runs in the virtual machine (all.sh, kernel.sh): `tests PROJECT FILE...` names some of a project of vitest's,
# `run_tests [--only NAME,...]` runs them, or those of these names alone (events: .../events.test.ts), and says of each file how it
# went and what was skipped for which reason.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CLAWFS_WARN_FATAL=1 CLAWFS_VM_SUMMARY=/tmp/summary
projects=()
declare -A files=()

tests() {
  local project=$1
  [ -n "${files[$project]:-}" ] || projects+=("$project")
  shift
  files[$project]="${files[$project]:-} $*"
}

# Of a project's files, those that are wanted.
wanted() {
  local file
  # shellcheck disable=SC2086
  for file in ${files[$1]}; do
    case ,$only, in ,, | *",$(basename "$file" .test.ts),"*) echo "$file" ;; esac
  done
}

run_tests() {
  local only= name project failed=0
  local -a chosen
  if [ "${1:-}" = --only ]; then only=${2:-}; shift 2; fi
  [ $# = 0 ] || { echo "usage: [--only NAME,...]" >&2; return 64; }
  for name in ${only//,/ }; do
    # shellcheck disable=SC2086
    printf '%s\n' ${files[*]} | grep -q "/$name\.test\.ts$" || { echo "there are no tests \"$name\" among those of this machine" >&2; return 64; }
  done
  echo "Linux $(uname -r), $(cat /sys/kernel/security/lsm), control groups: $(cat /sys/fs/cgroup/cgroup.controllers)"
  : >"$CLAWFS_VM_SUMMARY"
  for project in "${projects[@]}"; do
    mapfile -t chosen < <(wanted "$project")
    [ "${#chosen[@]}" != 0 ] || continue
    echo "== $project: ${chosen[*]}"
    node node_modules/vitest/vitest.mjs run --reporter verbose --reporter ./test/vm/report.ts --project "$project" "${chosen[@]}" || failed=1
  done
  printf '\n== Linux %s\n' "$(uname -r)"
  cat "$CLAWFS_VM_SUMMARY"
  return "$failed"
}
