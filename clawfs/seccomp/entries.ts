/** Rows of lists of system calls. */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"

export type Category = NonNullable<SeccompEntry["category"]>

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
const NEW_NAMESPACES = 0x7e02_0000
const CLONE_THREAD = 0x0001_0000
/** The kernel looks at the low 32 bits of the request only (CVE-2019-7303), so no more is compared. */
const LOW_32_BITS = 0xffff_ffff
/** O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE's own bit: what makes open(2) more than a look */
const WRITES = 0x0040_0243

/** Whatever the arguments. `names` are parted by blanks and lines. */
export function allowed(category: Category, names: string): SeccompEntry[] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => ({ name, permission: "ALLOW", category }))
}

/** Where the argument's bits of `mask` are those of `value`. */
function conditional(
  name: string,
  description: string,
  filter: { arg_index: number; value: number; mask: number },
  category: Category,
): SeccompEntry {
  const conditions = { description, argument_filter: { operator: "masked_eq" as const, ...filter } }
  return { name, permission: "CONDITIONAL", category, conditions }
}

/** clone3 hides its flags in memory: ENOSYS makes C libraries use clone. */
const NO_CLONE3: SeccompEntry = { name: "clone3", permission: "DENY", category: "process", errno: "ENOSYS" }

export function threads(): SeccompEntry[] {
  const filter = { arg_index: 0, value: CLONE_THREAD, mask: CLONE_THREAD + NEW_NAMESPACES }
  return [NO_CLONE3, conditional("clone", "threads, in the same namespaces", filter, "process")]
}

export function processes(): SeccompEntry[] {
  const filter = { arg_index: 0, value: 0, mask: NEW_NAMESPACES }
  return [
    ...[NO_CLONE3, conditional("clone", "in the same namespaces", filter, "process")],
    ...allowed("process", "fork vfork"),
  ]
}

/** socket(2) and socketpair(2) of these families. */
export function sockets(families: readonly (readonly [name: string, family: number])[]): SeccompEntry[] {
  return ["socket", "socketpair"].flatMap((name) =>
    families.map(([family, value]) =>
      conditional(name, family, { arg_index: 0, value, mask: LOW_32_BITS }, "network"),
    ),
  )
}

/** ioctl(2) or fcntl(2) with these requests. */
export function requests(
  call: "ioctl" | "fcntl",
  known: readonly (readonly [name: string, request: number])[],
): SeccompEntry[] {
  return known.map(([request, value]) =>
    conditional(call, request, { arg_index: 1, value, mask: LOW_32_BITS }, "file_io"),
  )
}

/** open(2) and openat(2), neither to write nor to make anything. */
export function readOnlyOpens(): SeccompEntry[] {
  const filter = { value: 0, mask: WRITES }
  return [
    conditional("open", "to read", { arg_index: 1, ...filter }, "file_io"),
    conditional("openat", "to read", { arg_index: 2, ...filter }, "file_io"),
  ]
}

/** `target` is what runs under it, `id` a UUID that stays the list's. */
export function listFor(target: string, id: string, syscalls: readonly SeccompEntry[]): SeccompList {
  return {
    schema_version: "1.0.0",
    whitelist_id: id,
    created_at: "2026-11-21T00:00:00Z",
    created_by: "ClawFS",
    metadata: { target_process: target, environment: "production", security_level: "strict" },
    syscalls: [...syscalls],
  }
}
