/**
 * System call filters by the system's libseccomp 2: rules in, a BPF program out (seccomp_rule_add(3), seccomp_export_bpf(3)), or
 * the process under it (seccomp_load(3)).
 */
import { readSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { bindFrom } from "./ffi.ts"
import { close } from "./libc.ts"
import { memoryFile } from "./memory-file.ts"

const lib = bindFrom("libseccomp.so.2")

export const hasLibseccomp = lib !== undefined

const calls =
  lib === undefined
    ? undefined
    : {
        init: lib<[action: number], unknown>("void* seccomp_init(uint32_t)"),
        name: lib<[architecture: number, call: number], string | null>(
          "char* seccomp_syscall_resolve_num_arch(uint32_t, int)",
        ),
        release: lib<[context: unknown]>("void seccomp_release(void*)"),
        resolve: lib<[name: string]>("int seccomp_syscall_resolve_name(const char*)"),
        add: lib<[context: unknown, action: number, call: number, count: number, comparisons: Buffer | null]>(
          "int seccomp_rule_add_array(void*, uint32_t, int, uint32_t, const void*)",
        ),
        set: lib<[context: unknown, attribute: number, value: number]>(
          "int seccomp_attr_set(void*, int, uint32_t)",
        ),
        export: lib<[context: unknown, fd: number]>("int seccomp_export_bpf(void*, int)"),
        load: lib<[context: unknown]>("int seccomp_load(void*)"),
      }

/** enum scmp_compare; `masked_eq`: (argument & a) == b */
export const Compare = { ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, masked_eq: 7 } as const

export interface Comparison {
  readonly argument: number
  readonly operator: (typeof Compare)[keyof typeof Compare]
  readonly a: bigint
  readonly b: bigint
}

export type FilterAction = "allow" | { readonly errno: number }

export interface Rule {
  readonly call: string
  readonly action: FilterAction
  /** All must hold. */
  readonly comparisons: readonly Comparison[]
}

const ALLOW = 0x7fff_0000
const ERRNO = 0x0005_0000
/** SCMP_FLTATR_CTL_OPTIMIZE, and a binary tree: a call costs a logarithm of comparisons. */
const OPTIMIZE = 8
const BINARY_TREE = 2
/** SCMP_FLTATR_CTL_NNP, SCMP_FLTATR_CTL_TSYNC */
const NO_NEW_PRIVILEGES = 3
const ALL_THREADS = 4
/** struct scmp_arg_cmp */
const COMPARISON_SIZE = 24
/** bpf(2): struct sock_filter */
export const INSTRUCTION_SIZE = 8

function library(): NonNullable<typeof calls> {
  if (calls !== undefined) return calls
  throw new Fault("unsupported", "libseccomp is not installed", { hint: "apt-get install libseccomp2" })
}

/** Whether this architecture has a system call of that name. Names that only other architectures have give false. */
export function hasSystemCall(name: string): boolean {
  return library().resolve(name) >= 0
}

/** Undefined for a name that this architecture does not have. */
export function systemCallNumber(name: string): number | undefined {
  const number = library().resolve(name)
  return number < 0 ? undefined : number
}

const OWN_ARCHITECTURE = 0
/** C allocates each name anew: it is asked for once. */
const names = new Map<number, string>()

/** As strace(1) would call it; its number where libseccomp does not know it. */
export function systemCallName(number: number): string {
  let name = names.get(number)
  if (name === undefined) {
    name = library().name(OWN_ARCHITECTURE, number) ?? `call ${number}`
    names.set(number, name)
  }
  return name
}

/** The program that gives calls without a rule `otherwise`, and kills the process for those of another architecture. */
export function compileFilter(rules: readonly Rule[], otherwise: FilterAction): Buffer {
  return withContext(rules, otherwise, exported)
}

/**
 * Puts every thread of this process, and what it starts from now on, under such a program for good. Throws `Fault` where the kernel
 * refuses: without `noNewPrivileges` (prctl(2)) that is for CAP_SYS_ADMIN.
 */
export function loadFilter(
  rules: readonly Rule[],
  otherwise: FilterAction,
  { noNewPrivileges }: { readonly noNewPrivileges: boolean },
): void {
  withContext(rules, otherwise, (context) => {
    const lib = library()
    require0("SCMP_FLTATR_CTL_NNP", lib.set(context, NO_NEW_PRIVILEGES, noNewPrivileges ? 1 : 0))
    require0("SCMP_FLTATR_CTL_TSYNC", lib.set(context, ALL_THREADS, 1))
    require0("seccomp_load", lib.load(context))
  })
}

function withContext<T>(rules: readonly Rule[], otherwise: FilterAction, use: (context: unknown) => T): T {
  const lib = library()
  const context = lib.init(numberOf(otherwise))
  if (context === null) throw new Fault("io", "libseccomp has no memory")
  try {
    for (const rule of rules) addRule(context, rule)
    require0("seccomp_attr_set", lib.set(context, OPTIMIZE, BINARY_TREE))
    return use(context)
  } finally {
    lib.release(context)
  }
}

function addRule(context: unknown, { call, action, comparisons }: Rule): void {
  const lib = library()
  const number = lib.resolve(call)
  if (number < 0) throw new Fault("invalid", `this architecture has no system call "${call}"`)
  const array = Buffer.alloc(COMPARISON_SIZE * comparisons.length)
  for (const [at, { argument, operator, a, b }] of comparisons.entries()) {
    array.writeUInt32LE(argument, at * COMPARISON_SIZE)
    array.writeUInt32LE(operator, at * COMPARISON_SIZE + 4)
    array.writeBigUInt64LE(a, at * COMPARISON_SIZE + 8)
    array.writeBigUInt64LE(b, at * COMPARISON_SIZE + 16)
  }
  const rc = lib.add(
    context,
    numberOf(action),
    number,
    comparisons.length,
    comparisons.length === 0 ? null : array,
  )
  require0(`the rule for "${call}"`, rc)
}

function exported(context: unknown): Buffer {
  const fd = memoryFile("seccomp")
  try {
    require0("seccomp_export_bpf", library().export(context, fd))
    const program = Buffer.alloc(65_536 * INSTRUCTION_SIZE)
    return Buffer.from(program.subarray(0, readSync(fd, program, 0, program.length, 0)))
  } finally {
    // Node does not know the descriptor.
    close(fd)
  }
}

function numberOf(action: FilterAction): number {
  return action === "allow" ? ALLOW : ERRNO | action.errno
}

/** libseccomp returns a negative errno. */
function require0(what: string, rc: number): void {
  if (rc !== 0) throw new Fault("invalid", `${what}: libseccomp gives error ${-rc}`)
}
