/** The completion scripts, asked in the shells that they are for. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest"
import { run } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { allCommands } from "../../clawfs/cli/commands.ts"
import { Namespace, Place, clawfs, inPlace, requireMounts } from "./harness.ts"

const COMMANDS = await allCommands()

let place: Place
let directory: string
/** Has a ClawFS mount whose name needs care; nobody serves it, and nobody needs to. */
let namespace: Namespace

beforeAll(async () => {
  if (requireMounts() !== undefined) return
  place = await Place.make()
  directory = place.directory()
  for (const name of ["alpha", "beta dir"]) mkdirSync(join(directory, name))
  writeFileSync(join(directory, "alphabet"), "a file")
  for (const shell of ["bash", "zsh"])
    writeFileSync(join(directory, `_clawfs.${shell}`), (await clawfs(["completion", shell])).stdout)
  writeFileSync(join(directory, "zsh-setup"), ZSH_SETUP)
  mkdirSync(join(directory, "my mount"))
  const script = `mount -i -t fuse.clawfs -o fd=9,rootmode=40000,user_id=0,group_id=0 "$1/store" "$1/my mount" 9<>/dev/fuse`
  namespace = await Namespace.make(script, directory)
})
afterAll(async () => {
  if (requireMounts() !== undefined) return
  await namespace[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})

const needs = (context: TestContext, shell: string): void =>
  skipIf(context, requireMounts(), requirePrograms(shell))

/** The words that bash offers for the last one, as readline would cut the line into words. */
async function bash(...words: string[]): Promise<string[]> {
  const script = `source ./_clawfs.bash
    complete -p clawfs >/dev/null || exit 1
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _clawfs
    for word in "\${COMPREPLY[@]}"; do printf '%s\\n' "$word"; done`
  const inside = `cd "$1" && shift && exec bash --norc -c "$0" bash clawfs "$@"`
  const { stdout, stderr } = await inPlace("bash", ["-c", inside, script, directory, ...words], { namespace })
  expect(stderr).toBe("")
  return stdout.split("\n").filter((line) => line !== "")
}

/** What zsh reads in the terminal that it is given: every word that its completion adds is printed, then it ends. */
const ZSH_SETUP = String.raw`
PROMPT= RPROMPT=
autoload -Uz compinit
compinit -u -C -d ./zcompdump
source ./_clawfs.zsh
bindkey '^I' complete-word
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' insert-tab false
stop() { print -r -- '<<end>>'; exit }
comppostfuncs=(stop)
compadd() {
  # Calls that only fill arrays add nothing.
  if [[ "${"$"}{@[1,(i)(-|--)]}" == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a found
  builtin compadd -A found "$@"
  (( $#found )) && print -rl -- '<<'$^found'>>'
  builtin compadd "$@"
}
print -r -- '<<ready>>'
`

const ZSH_ASK = String.raw`
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal 'source ./zsh-setup'
zpty -r terminal output $'*<<ready>>*'
zpty -w -n terminal "$1"$'\t'
zpty -r terminal output $'*<<end>>*'
print -r -- "$output"
`

/** The words that zsh offers for the last one of a line that is typed. */
async function zsh(line: string): Promise<string[]> {
  const inside = `cd "$1" && exec zsh -f -c "$0" zsh "$2"`
  const { stdout } = await inPlace("sh", ["-c", inside, ZSH_ASK, directory, line], { namespace })
  const words = [...stdout.matchAll(/<<(.*?)>>/g)].map(([, word = ""]) => word)
  return [...new Set(words)].filter((word) => word !== "end")
}

const names = [...COMMANDS.map(({ name }) => name), "help"]

test.concurrent("bash: commands, options, values, directories and mounts", async (context) => {
  needs(context, "bash")
  expect(await bash("")).toEqual([...names, "--help", "--version"])
  expect(await bash("mo")).toEqual(["mount"])
  expect(await bash("mount", "--no")).toEqual(["--nonempty", "--no-index", "--noexec"])
  expect(await bash("mount", "--log", "")).toEqual(["debug", "info", "warn", "error"])
  // Readline cuts a word at the =.
  expect(await bash("mount", "--log", "=", "w")).toEqual(["warn"])
  expect(await bash("mount", "--log", "=")).toEqual(["debug", "info", "warn", "error"])
  expect(await bash("mount", "--flush", "")).toEqual([])
  expect(await bash("mount", "al")).toEqual(["alpha"])
  expect(await bash("mount", "--flush", "3", "alpha", "b")).toEqual(["beta dir"])
  expect(await bash("mount", "--log", "=", "warn", "alpha", "b")).toEqual(["beta dir"])
  expect(await bash("mount", "alpha", "beta dir", "")).toEqual([])
  expect(await bash("mount", "--", "--no")).toEqual([])
  expect(await bash("completion", "")).toEqual(["bash", "zsh"])
  expect(await bash("help", "st")).toEqual(["status"])
  expect(await bash("init", "--tools-owner", "roo")).toEqual(["root"])
  for (const command of ["unmount", "status"])
    expect(await bash(command, `${directory}/`)).toEqual([`${directory}/my mount`])
})

test.concurrent("bash: what a terminal shows after two tabs", async (context) => {
  needs(context, "bash")
  needs(context, "script")
  const typed = String.raw`printf 'source ./_clawfs.bash\nPS1=\nclawfs unmount ${directory}/m\t\x15echo DONE\nexit\n' | (sleep 0.3; cat; sleep 0.3)`
  const inside = `cd "$1" && ${typed} | script -qec "bash --norc --noprofile -i" /dev/null`
  const { stdout } = await inPlace("sh", ["-c", inside, "sh", directory], { namespace })
  expect(stdout).toContain(`${directory}/my\\ mount`)
})

test.concurrent("zsh: commands, options, values, directories and mounts", async (context) => {
  needs(context, "zsh")
  expect((await zsh("clawfs ")).sort()).toEqual([...names].sort())
  expect(await zsh("clawfs mount --no")).toEqual(
    expect.arrayContaining(["--nonempty", "--no-index", "--noexec"]),
  )
  expect(await zsh("clawfs mount --log ")).toEqual(["debug", "info", "warn", "error"])
  expect(await zsh("clawfs mount al")).toEqual(["alpha"])
  expect(await zsh("clawfs completion ")).toEqual(["bash", "zsh"])
  expect(await zsh("clawfs help st")).toEqual(["status"])
  expect(await zsh(`clawfs status ${directory}/`)).toEqual([`${directory}/my\\ mount`])
})

test.concurrent("zsh: the script also works as a file of $fpath", async (context) => {
  needs(context, "zsh")
  await run("cp", [join(directory, "_clawfs.zsh"), join(directory, "alpha", "_clawfs")])
  const script =
    "fpath=($PWD/alpha $fpath); autoload -Uz compinit; compinit -u -D; print -r -- $_comps[clawfs]"
  const { stdout, stderr } = await run("zsh", ["-f", "-c", script], { cwd: directory })
  expect([stdout, stderr]).toEqual(["_clawfs\n", ""])
})
