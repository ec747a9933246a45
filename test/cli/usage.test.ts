/** Wrong command lines: exit status 64, one sentence, one hint, and nothing on stdout. */
import { beforeEach, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import { bin, clawfs, inPlace, requireBuild, said } from "./harness.ts"

beforeEach((context) => {
  skipIf(context, requireBuild())
})

const MOUNT_USAGE = "hint: usage: clawfs mount [options] STORE MOUNTPOINT"
const LIST = "hint: clawfs --help lists the commands"
const MOUNT_HELP = "hint: clawfs mount --help tells more"

const wrong: readonly (readonly [args: string, message: string, hint: string])[] = [
  ["", "no command is given", LIST],
  ["mout", 'there is no command "mout"', "hint: did you mean mount? clawfs --help lists the commands"],
  [
    "umount /mnt",
    'there is no command "umount"',
    "hint: did you mean unmount? clawfs --help lists the commands",
  ],
  ["stat", 'there is no command "stat"', "hint: did you mean status? clawfs --help lists the commands"],
  ["stop", 'there is no command "stop"', "hint: did you mean unmount? clawfs --help lists the commands"],
  ["frobnicate", 'there is no command "frobnicate"', LIST],
  ["help frobnicate", 'there is no command "frobnicate"', LIST],
  ["help mount init", "help explains one command at a time", LIST],
  ["--verbose", "there is no option --verbose before a command", LIST],
  ["-- mount", "there is no option -- before a command", LIST],
  ["mount", "mount: STORE and MOUNTPOINT are missing", MOUNT_USAGE],
  ["mount a", "mount: MOUNTPOINT is missing", MOUNT_USAGE],
  ["mount a b c", 'mount: "c" is one operand too many', MOUNT_USAGE],
  ["mount a b -- -c", 'mount: "-c" is one operand too many', MOUNT_USAGE],
  ["mount --wirteback a b", "mount has no option --wirteback", "hint: did you mean --writeback?"],
  ["mount --frobnicate a b", "mount has no option --frobnicate", MOUNT_HELP],
  ["mount --no-foreground a b", "mount has no option --no-foreground", MOUNT_HELP],
  ["mount --constructor a b", "mount has no option --constructor", MOUNT_HELP],
  ["mount -x a b", "mount has no option -x", MOUNT_HELP],
  ["mount -fx a b", "mount has no option -x", MOUNT_HELP],
  ["mount --read-only=yes a b", "mount: --read-only takes no value", MOUNT_HELP],
  ["mount a b --flush", "mount: --flush needs a value (SECONDS)", MOUNT_HELP],
  ["mount --flush= a b", "mount: --flush needs a value (SECONDS)", MOUNT_HELP],
  [
    "mount a b --flush --read-only",
    'mount: --flush needs a value (SECONDS), "--read-only" looks like an option',
    "hint: if it is meant as the value, write it as one word: --flush=--read-only",
  ],
  ["mount --flush abc a b", 'mount: --flush takes seconds, above 0 and up to 3600, got "abc"', MOUNT_HELP],
  ["mount --flush 0 a b", 'mount: --flush takes seconds, above 0 and up to 3600, got "0"', MOUNT_HELP],
  ["mount --flush=-1 a b", 'mount: --flush takes seconds, above 0 and up to 3600, got "-1"', MOUNT_HELP],
  ["mount --flush 1e9 a b", 'mount: --flush takes seconds, above 0 and up to 3600, got "1e9"', MOUNT_HELP],
  ["mount --flush 3601 a b", 'mount: --flush takes seconds, above 0 and up to 3600, got "3601"', MOUNT_HELP],
  ["mount --log loud a b", 'mount: --log takes one of debug, info, warn, error, got "loud"', MOUNT_HELP],
  ["mount --private --allow-other a b", "mount: --private and --allow-other exclude each other", MOUNT_HELP],
  ["init", "init: STORE is missing", "hint: usage: clawfs init [options] STORE"],
  ["init a b", 'init: "b" is one operand too many', "hint: usage: clawfs init [options] STORE"],
  ["init ''", "init: STORE is empty", "hint: clawfs init --help tells more"],
  [
    "init --agents-group",
    "init: --agents-group needs a value (GROUP)",
    "hint: clawfs init --help tells more",
  ],
  [
    "init --user --agents-group root a",
    "init: --user and --agents-group exclude each other",
    "hint: clawfs init --help tells more",
  ],
  ["unmount", "unmount: MOUNTPOINT is missing", "hint: usage: clawfs unmount [--lazy] MOUNTPOINT"],
  ["unmount --force /mnt", "unmount has no option --force", "hint: clawfs unmount --help tells more"],
  [
    "status --wait 3",
    "status: --wait needs a MOUNTPOINT to wait for",
    "hint: clawfs status --help tells more",
  ],
  [
    "status --wait soon /mnt",
    'status: --wait takes seconds, above 0 and up to 86400, got "soon"',
    "hint: clawfs status --help tells more",
  ],
  ["doctor a b", 'doctor: "b" is one operand too many', "hint: usage: clawfs doctor [--json] [STORE]"],
  ["completion", "completion: SHELL is missing", "hint: usage: clawfs completion bash|zsh"],
  [
    "completion fish",
    'completion: SHELL is one of bash, zsh, got "fish"',
    "hint: clawfs completion --help tells more",
  ],
  [
    "install-service --name a/b",
    'install-service: --name takes letters, digits and _ . @ - without ".service", got "a/b"',
    "hint: clawfs install-service --help tells more",
  ],
  [
    "install-service --print --store /a --mountpoint /a/b",
    "install-service: store and mount point can't lie inside of each other",
    "hint: clawfs install-service --help tells more",
  ],
]

test.concurrent.each(wrong)("clawfs %s", async (args, message, hint) => {
  const words = args.split(" ").filter((word) => word !== "")
  const result = await clawfs(words.map((word) => (word === "''" ? "" : word)))
  expect(said(result)).toBe(`exit 64\nclawfs: ${message}\n${hint}`)
  expect(result.stdout).toBe("")
})

test("output that can't be written is an error, a reader that has seen enough is none", async () => {
  const script = (redirect: string) => `"$0" "$@" ${redirect}`
  const toFull = await inPlace("sh", ["-c", script(">/dev/full"), process.execPath, bin, "--help"])
  expect(said(toFull)).toMatch(/^exit 74\nclawfs: the output can't be written \(ENOSPC/)
  const toHead = await inPlace("sh", ["-c", script("| true"), process.execPath, bin, "help", "mount"])
  expect(said(toHead)).toBe("exit 0")
})
