/** Lists of system calls (P1.2) as programs for the kernel, and processes under them. */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import {
  Compare,
  INSTRUCTION_SIZE,
  compileFilter,
  hasSystemCall,
  loadFilter,
  type Comparison,
  type Rule,
} from "../sys/libseccomp.ts"

const ERRNO = { EPERM: 1, ENOSYS: 38 } as const
/** What a list does not name. */
const OTHERWISE = { errno: ERRNO.EPERM } as const

export interface Compiled {
  /** struct sock_filter, one after the other. */
  readonly program: Buffer
  readonly instructions: number
  /** Names that this architecture does not have; they are left out. */
  readonly unknown: readonly string[]
}

/** What is not named gets EPERM. Throws `Fault("invalid")` for rules that contradict each other. */
export function compile(list: SeccompList): Compiled {
  const program = compileFilter(rulesOf(list), OTHERWISE)
  return { program, instructions: program.length / INSTRUCTION_SIZE, unknown: unknownIn(list) }
}

/**
 * Puts this process, and what it starts from now on, under a list for good. `mayGain`: it may still start setuid programs, for
 * which it needs CAP_SYS_ADMIN. Throws `Fault` where there is no libseccomp, or the kernel refuses.
 */
export function confine(list: SeccompList, { mayGain }: { readonly mayGain: boolean }): void {
  loadFilter(rulesOf(list), OTHERWISE, { noNewPrivileges: !mayGain })
}

function rulesOf({ syscalls }: SeccompList): Rule[] {
  return syscalls.filter(({ name }) => hasSystemCall(name)).flatMap(ruleOf)
}

function unknownIn({ syscalls }: SeccompList): string[] {
  return [...new Set(syscalls.map(({ name }) => name))].filter((name) => !hasSystemCall(name))
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
