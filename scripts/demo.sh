#!/usr/bin/env bash
# The main job in one go: make a store, mount it, work on it, kill its server in the middle, look, unmount.
set -euo pipefail
cd "$(dirname "$0")/.."
clawfs=(node "$PWD/dist/clawfs/cli/main.js")
place=$(mktemp -d "${TMPDIR:-/tmp}/clawfs-demo.XXXXXX")
store=$place/store mnt=$place/clawfs
mkdir "$mnt"

finish() {
  cd /
  if grep -q " $mnt fuse.clawfs" /proc/mounts; then "${clawfs[@]}" unmount "$mnt" >/dev/null || "${clawfs[@]}" unmount --lazy "$mnt" || true; fi
  rm -rf "$place"
}
trap finish EXIT

"${clawfs[@]}" init --user "$store" >/dev/null
"${clawfs[@]}" mount "$store" "$mnt" >/dev/null
work=$mnt/workspaces/demo
mkdir "$work"

# A real tree: this project with its whole history, or its files where there is no repository.
if git rev-parse --git-dir >/dev/null 2>&1 && git rev-parse HEAD >/dev/null 2>&1; then
  git clone -q --no-hardlinks . "$work/tree" 2>/dev/null
else
  mkdir "$work/tree" && cp -a clawfs keyring vault schema migrations docs ./*.md "$work/tree/"
fi
cp -a node_modules/typescript "$work/typescript"
files=$(find "$work" -type f | wc -l)

# The server dies by SIGKILL while a copy runs; the copy must not notice.
supervisor=$("${clawfs[@]}" status "$mnt" --json | node -p 'JSON.parse(require("fs").readFileSync(0)).supervisor.pid')
(sleep 0.2 && pkill -KILL -P "$supervisor") &
cp -a "$work/typescript" "$work/copy"
wait
diff -r "$work/typescript" "$work/copy" && same=identical
matches=$(grep -rl "createSourceFile" "$work/copy" | wc -l)
sync -f "$work/copy/package.json"

# Half of the copy is lost by mistake, and comes back.
"${clawfs[@]}" snapshot create before "$work/copy" >/dev/null
rm -rf "$work/copy/lib"
lost=$({ "${clawfs[@]}" snapshot diff before "$work/copy" || true; } | wc -l)
"${clawfs[@]}" snapshot restore --yes before "$work/copy" >/dev/null
diff -r "$work/typescript" "$work/copy" && back=identical
status=$("${clawfs[@]}" status "$mnt" --json)
field() { node -p "const s = JSON.parse(process.argv[1]); $1" "$status"; }

cat <<EOF
ClawFS demo
  store        $(du -sh "$store" | cut -f1) in one directory, mounted through FUSE 7.$(field s.protocol.minor) without libfuse
  tree         $files files: a git clone and the TypeScript compiler
  kill -9      the server was killed while $(find "$work/copy" -type f | wc -l) files were copied: the copy is $same
  restarts     $(field s.server.restarts); requests answered: $(field s.requests.answered)
  grep -r      $matches files of the copy contain createSourceFile
  node         $(node "$work/copy/bin/tsc" --version) runs from the mount
  snapshot     $lost names were removed after it and restored from it: the copy is $back again
  status       $(field s.state), $(field s.inodes.used) inodes, $(field 'Math.round(s.bytes.used / 2 ** 20)') MiB, server $(field 'Math.round(s.server.rssBytes / 2 ** 20)') MiB
  .status      $(head -c 24 "$mnt/.status" | tr -d '\n') … is a file in the mount
EOF
cd /
"${clawfs[@]}" unmount "$mnt" >/dev/null
echo "  unmounted    everything is on the disk, no process is left"
