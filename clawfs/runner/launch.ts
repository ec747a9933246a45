/** What a sandbox is started with: bubblewrap's options and descriptors, and the starter's words, handed to a waiting process. */
import { closeSync, openSync, writeSync } from "node:fs"
import { release } from "node:os"
import { Fault } from "../core/fault.ts"
import { detachedMount } from "../sys/detached-mount.ts"
import { memoryFile } from "../sys/memory-file.ts"
import { closeAll } from "../sys/pipes.ts"
import { bwrapOptions, type Place } from "./bwrap.ts"
import { STARTER } from "./find-programs.ts"
import type { Slot } from "./keeper.ts"
import { MACHINE_NAME, machineAddress } from "./link.ts"
import { hostsFile } from "./network.ts"
import type { SandboxPlan } from "./plan.ts"
import { starterWords } from "./starter.ts"
import { joinWords, type Word } from "./wire.ts"

/** Numbers in bubblewrap: what comes behind the three standard ones and its options. */
const Fd = { STATUS: 4, BLOCK: 5, SECCOMP: 6, NEXT: 7 } as const
/** Of bubblewrap's by number: its options, status, block, filter. */
const NUMBERED = 4

export interface SandboxFiles {
  /** The caller's terminal, if its stdout is one: bubblewrap shows it as `/dev/console`. */
  readonly terminal: number | undefined
  readonly tool: number
  readonly script: number | undefined
  readonly grants: readonly number[]
  /** The filter's program. */
  readonly seccomp: number
  /** Pipes, in the order of the plan's. */
  readonly secrets: readonly number[]
}

export interface LaunchOptions {
  /** In its control groups already, where there are any. */
  readonly slot: Slot
  readonly plan: SandboxPlan
  readonly place: Place
  readonly files: SandboxFiles
  /** The version of Landlock that is used; 0 for none. */
  readonly landlock: number
}

/** The sandbox's ends of what it talks through. They stay the caller's. */
export interface Ends {
  readonly status: number
  readonly block: number
  readonly call: number
  /** What bubblewrap has to say for itself is written there. */
  readonly said: number
}

/** Linux 5.14; before, a user's processes counted wherever they were, and a sandbox could start none. */
export function countsByNamespace(version = release()): boolean {
  return isKernelAtLeast(5, 14, version)
}

function isKernelAtLeast(wantedMajor: number, wantedMinor: number, version = release()): boolean {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

/** Throws `Fault` when the process that waits is gone. */
export function launch(options: LaunchOptions, { status, block, call, said }: Ends): void {
  const { slot, plan, place, files, landlock } = options
  const { tool, script, grants, seccomp } = files
  const bound = [tool, ...(script === undefined ? [] : [script]), ...grants]
  const isRoot = process.getuid?.() === 0
  const texts = settingsFor(plan)
  // bubblewrap takes the texts; the starter is executed by its number, and closes what is not a secret's.
  const starterFd = Fd.NEXT + texts.length
  const callFd = starterFd + 1
  const secrets = files.secrets.map((_, at) => callFd + 1 + at)
  const firstBound = callFd + 1 + secrets.length
  const paths = bound.map((_, at) => (isRoot ? `/given/${at}` : `/proc/self/fd/${firstBound + at}`))
  const [toolPath = "", ...others] = paths
  const sources = {
    tool: toolPath,
    script: script === undefined ? undefined : others[0],
    grants: script === undefined ? others : others.slice(1),
    base: isRoot && isKernelAtLeast(5, 12) ? "/base" : undefined,
  }
  const opened: number[] = []
  const keep = (fd: number): number => (opened.push(fd), fd)
  try {
    const own = starterWords(plan, place, { call: callFd, landlock, secrets })
    const words = keep(wordsFile("starter", [`/proc/self/fd/${starterFd}`, ...own]))
    const settings = Object.fromEntries(texts.map(([name], at) => [name, Fd.NEXT + at]))
    const fds = { status: Fd.STATUS, block: Fd.BLOCK, seccomp: Fd.SECCOMP, settings }
    const bwrap = keep(wordsFile("bwrap", bwrapOptions(plan, place, fds, sources)))
    const contents = texts.map(([name, text]) => keep(memoryFileWith(name, Buffer.from(text))))
    // The keeper's child is in another mount namespace, and could not make them.
    const mounts = isRoot ? bound.map((fd) => keep(detachedMount(fd))) : bound
    const starterFile = keep(openSync(STARTER, "r"))
    const others = [...contents, starterFile, call, ...files.secrets]
    const numbered = NUMBERED + others.length + (isRoot ? 0 : bound.length)
    const nothing = keep(openSync("/dev/null", "r+"))
    const stdio = [nothing, files.terminal ?? nothing, said]
    slot.launch([...stdio, words, bwrap, status, block, seccomp, ...others, ...mounts], numbered)
  } finally {
    closeAll(opened)
  }
}

/** Where names are granted, the C library must look for them in the file alone: nobody answers questions. */
function settingsFor({ network, link }: SandboxPlan): (readonly [name: string, text: string])[] {
  if (network.length === 0 && link === undefined) return []
  const machine = link === undefined ? "" : `${machineAddress(link)} ${MACHINE_NAME}\n`
  return [
    ["hosts", hostsFile(network) + machine],
    ["nsswitch.conf", "hosts: files\n"],
  ]
}

/** In memory: paths and variables stand on no command line. */
export function wordsFile(name: string, words: readonly Word[]): number {
  if (words.some((word) => word.includes("\0"))) throw new Fault("invalid", "a NUL byte in a name")
  return memoryFileWith(name, joinWords(words))
}

/** A file in memory that is read from its beginning. */
export function memoryFileWith(name: string, bytes: Buffer): number {
  const fd = memoryFile(name)
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  const again = openSync(`/proc/self/fd/${fd}`, "r")
  closeSync(fd)
  return again
}
