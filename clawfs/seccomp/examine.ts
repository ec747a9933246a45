/** What is wrong or doubtful about a list of system calls (P1.2). */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import { compile } from "./compile.ts"

/** claw_seccomp_apply (P1.8) takes no more. */
const MOST_BYTES = 16 * 1024

/** Calls without which no program gets as far as its first line. */
export const NEEDED = [
  "execve",
  "read",
  "write",
  "mmap",
  "mprotect",
  "munmap",
  "brk",
  "exit_group",
  "rt_sigaction",
]
/** Those that undo a sandbox. */
const DANGEROUS = [
  ...[
    "io_uring_setup",
    "io_uring_enter",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
  ],
  ...[
    "mount",
    "umount2",
    "pivot_root",
    "unshare",
    "setns",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
  ],
  ...[
    "open_by_handle_at",
    "init_module",
    "finit_module",
    "kexec_load",
    "clone3",
    "move_mount",
    "fsopen",
    "open_tree",
  ],
]

const OWN_PROGRAMS: ReadonlySet<unknown> = new Set(["launcher", "daemon", "extractor"])

export interface Opinion {
  readonly level: "error" | "warning"
  readonly message: string
}

/** What is wrong or doubtful about a list; it may be correct JSON all the same. */
export function examine(list: SeccompList): Opinion[] {
  const allowed = new Set(
    list.syscalls.filter(({ permission }) => permission !== "DENY").map(({ name }) => name),
  )
  const { unknown, program } = compile(list)
  const found: Opinion[] = [
    ...(isOwn(list) ? [] : asTools(allowed)),
    ...unknown.map((name) => warning(`this architecture has no system call "${name}"`)),
    ...contradictions(list).map((name) => error(`"${name}" is both allowed and denied`)),
    ...list.syscalls.flatMap(opinionsOf),
  ]
  if (program.length > MOST_BYTES)
    found.push(error(`the program has ${program.length} bytes, above ${MOST_BYTES}`))
  return found
}

/** Lists of ours for a program that is no tool: it puts itself under them when it runs. */
function isOwn({ metadata }: SeccompList): boolean {
  return OWN_PROGRAMS.has(metadata?.["target_process"])
}

function asTools(allowed: ReadonlySet<string>): Opinion[] {
  return [
    ...NEEDED.filter((name) => !allowed.has(name)).map((name) =>
      error(`"${name}" is not allowed: no program can start`),
    ),
    ...DANGEROUS.filter((name) => allowed.has(name)).map((name) => error(`"${name}" leads out of a sandbox`)),
  ]
}

function opinionsOf({ name, conditions }: SeccompEntry): Opinion[] {
  const filter = conditions?.argument_filter
  const wide = name === "ioctl" && filter !== undefined && filter.operator !== "masked_eq"
  return [
    ...(conditions?.port_restriction === undefined
      ? []
      : [warning(`"${name}": a filter can't see ports; a network namespace can keep to them`)]),
    ...(wide
      ? [error('"ioctl": compare the low 32 bits only (masked_eq): the kernel ignores the others')]
      : []),
  ]
}

function contradictions(list: SeccompList): string[] {
  const denied = new Set(
    list.syscalls.filter(({ permission }) => permission === "DENY").map(({ name }) => name),
  )
  return [
    ...new Set(
      list.syscalls.flatMap(({ name, permission }) =>
        permission === "ALLOW" && denied.has(name) ? [name] : [],
      ),
    ),
  ]
}

const error = (message: string): Opinion => ({ level: "error", message })
const warning = (message: string): Opinion => ({ level: "warning", message })
