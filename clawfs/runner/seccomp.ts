/** Lists of system calls (P1.2) as programs for the kernel. */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import {
  Compare,
  INSTRUCTION_SIZE,
  compileFilter,
  hasSystemCall,
  type Comparison,
  type Rule,
} from "../sys/libseccomp.ts"

const ERRNO = { EPERM: 1, ENOSYS: 38 } as const
/** claw_seccomp_apply (P1.8) takes no more. */
export const MOST_BYTES = 16 * 1024

export interface Compiled {
  /** struct sock_filter, one after the other. */
  readonly program: Buffer
  readonly instructions: number
  /** Names that this architecture does not have; they are left out. */
  readonly unknown: readonly string[]
}

/** What is not named gets EPERM. Throws `Fault("invalid")` for rules that contradict each other. */
export function compile(list: SeccompList): Compiled {
  const names = new Set(list.syscalls.map(({ name }) => name))
  const unknown = [...names].filter((name) => !hasSystemCall(name))
  const rules = list.syscalls.filter(({ name }) => !unknown.includes(name)).flatMap(ruleOf)
  const program = compileFilter(rules, { errno: ERRNO.EPERM })
  return { program, instructions: program.length / INSTRUCTION_SIZE, unknown }
}

/** None for a denial that is the default anyhow: libseccomp refuses such a rule. */
function ruleOf(entry: SeccompEntry): Rule[] {
  const { name: call, permission, conditions, errno = "EPERM" } = entry
  if (permission === "DENY")
    return errno === "EPERM" ? [] : [{ call, action: { errno: ERRNO[errno] }, comparisons: [] }]
  const filter = conditions?.argument_filter
  return [{ call, action: "allow", comparisons: filter === undefined ? [] : [comparisonOf(filter)] }]
}

type Filter = NonNullable<NonNullable<SeccompEntry["conditions"]>["argument_filter"]>

function comparisonOf({ arg_index: argument, operator, value, mask }: Filter): Comparison {
  if (operator === "masked_eq")
    return { argument, operator: Compare.masked_eq, a: BigInt(mask ?? 0), b: BigInt(value) }
  return { argument, operator: Compare[operator], a: BigInt(value), b: 0n }
}

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
    ...NEEDED.filter((name) => !allowed.has(name)).map((name) =>
      error(`"${name}" is not allowed: no program can start`),
    ),
    ...DANGEROUS.filter((name) => allowed.has(name)).map((name) => error(`"${name}" leads out of a sandbox`)),
    ...unknown.map((name) => warning(`this architecture has no system call "${name}"`)),
    ...contradictions(list).map((name) => error(`"${name}" is both allowed and denied`)),
    ...list.syscalls.flatMap(opinionsOf),
  ]
  if (program.length > MOST_BYTES)
    found.push(error(`the program has ${program.length} bytes, above ${MOST_BYTES}`))
  return found
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
