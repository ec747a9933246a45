/** Generated material for the tests with real programs: the same on every machine and in every run. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "./exec.ts"

const commits = 200
const filesPerCommit = 15

/** Git without the configuration of user and machine. */
export const gitEnvironment = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", LC_ALL: "C" }

const content = (file: number, version: number): string =>
  Array.from({ length: 5 + ((file * 7) % 60) }, (_, i) => `file ${file} version ${version} line ${i}\n`).join(
    "",
  )

const path = (file: number): string => `part-${file % 20}/section-${file % 7}/file-${file}.txt`

/** 200 commits that leave 3000 files; each changes some of the commit before. */
function fastImportStream(): string {
  const stream: string[] = []
  const put = (file: number, version: number): void => {
    const data = content(file, version)
    stream.push(`M 100644 inline ${path(file)}\ndata ${data.length}\n${data}`)
  }
  for (let commit = 0; commit < commits; commit++) {
    const message = `commit ${commit}`
    stream.push(
      `commit refs/heads/main\ncommitter Test <test@example.org> ${1_700_000_000 + commit * 60} +0000\n`,
    )
    stream.push(`data ${message.length}\n${message}\n`)
    for (let i = 0; i < filesPerCommit; i++) put(commit * filesPerCommit + i, 0)
    for (let i = 0; commit > 0 && i < 5; i++) put((commit - 1) * filesPerCommit + i, commit)
  }
  return `${stream.join("")}done\n`
}

export async function makeGitRepository(directory: string): Promise<void> {
  const options = { env: gitEnvironment, timeoutSeconds: 60 }
  await run("git", ["init", "--quiet", "--initial-branch=main", directory], options)
  await run("git", ["-C", directory, "fast-import", "--quiet", "--done"], {
    ...options,
    input: fastImportStream(),
  })
  await run("git", ["-C", directory, "checkout", "--quiet", "main"], options)
}

/** Thirty C files that print the sum of what they contribute, and a Makefile. */
export function makeCProject(directory: string): void {
  mkdirSync(join(directory, "src"), { recursive: true })
  const count = 30
  const parts = Array.from({ length: count }, (_, i) => i)
  writeFileSync(join(directory, "src", "parts.h"), parts.map((i) => `int part_${i}(int);\n`).join(""))
  for (const i of parts) {
    const body = `#include "parts.h"\n#include <string.h>\nint part_${i}(int x) { return x * ${i} + (int)strlen("${"x".repeat(i)}"); }\n`
    writeFileSync(join(directory, "src", `part_${i}.c`), body)
  }
  const calls = parts.map((i) => `part_${i}(1)`).join(" + ")
  const main = `#include "parts.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", ${calls}); return 0; }\n`
  writeFileSync(join(directory, "src", "main.c"), main)
  const makefile = [
    "OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/*.c))",
    "program: $(OBJECTS)\n\tcc -o $@ $^",
    "build/%.o: src/%.c src/parts.h | build\n\tcc -O1 -c -o $@ $<",
    "build:\n\tmkdir -p build",
    "clean:\n\trm -rf build program",
  ]
  writeFileSync(join(directory, "Makefile"), `${makefile.join("\n\n")}\n`)
}

/** Twice the sum of 0 to 29. */
export const cProjectOutput = "870\n"

/** Everything that a copy may lose: links, holes, times, modes, owners, attributes, access lists, odd names. */
const manyKinds = `
set -e
umask 022
mkdir -p deep/er/still with-acl setgid empty
seq 1 20000 >deep/plain.txt
printf 'inline' >small
: >deep/er/empty-file
cp /bin/true deep/er/still/program
ln small hard-link-1
ln small deep/hard-link-2
ln -s small relative-link
ln -s /nowhere/at/all dangling-link
ln -s "$(printf '%0200d' 7)" long-link
mkfifo fifo
mknod device c 1 3
truncate -s 5M only-a-hole
printf 'start' >sparse
printf 'middle' | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
truncate -s 3000000 sparse
head -c 300000 /dev/urandom >random
touch -d '1969-12-31 23:00:00.123456789 UTC' small
touch -h -d '2001-02-03 04:05:06.7 UTC' relative-link
touch -d '2038-02-01 00:00:00.999999999 UTC' random
printf 'x' >"$(printf 'odd \\n\\t"\\\\ name')"
printf 'x' >"$(printf 'not-utf8-\\377\\376')"
printf 'x' >"$(printf '%0255d' 1)"
chmod 0000 deep/plain.txt
chmod 4755 deep/er/still/program
chmod 2775 setgid
chmod 1777 empty
chown 1000:1001 random
chown -h 1000:1001 dangling-link
setfattr -n user.comment -v 'a value' small
setfattr -n user.large -v "$(printf '%01500d' 5)" deep
setfattr -n trusted.only-root -v secret random
setfacl -m u:1000:rwx,g:1001:r-x with-acl
setfacl -d -m u:1000:rwx,g:1001:r-x with-acl
printf 'inherits' >with-acl/file
setfacl -m u:1002:r-- random
find . -type d -exec touch -d '2010-01-02 03:04:05.678901234 UTC' {} +
`

export async function makeManyKinds(directory: string): Promise<void> {
  mkdirSync(directory)
  chmodSync(directory, 0o755)
  await run("bash", ["-c", manyKinds], { cwd: directory })
}
