/** What a filter of system calls decides, told from a call's number and arguments: so that a refusal can be attributed to it. */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import { systemCallNumber } from "../sys/libseccomp.ts"

type Filter = NonNullable<NonNullable<SeccompEntry["conditions"]>["argument_filter"]>

/** Whether a list refuses a call. */
export class Verdicts {
  /** Conditions of which one must hold; none: the call is allowed whatever its arguments. */
  readonly #allowed = new Map<number, readonly Filter[]>()

  constructor(list: SeccompList) {
    for (const { name, permission, conditions } of list.syscalls) {
      const number = systemCallNumber(name)
      if (number === undefined || permission === "DENY") continue
      const filter = conditions?.argument_filter
      const before = this.#allowed.get(number)
      const isAlways = filter === undefined || before?.length === 0
      this.#allowed.set(number, isAlways ? [] : [...(before ?? []), filter])
    }
  }

  refuses(call: number, args: readonly bigint[]): boolean {
    const filters = this.#allowed.get(call)
    if (filters === undefined) return true
    return filters.length > 0 && !filters.some((filter) => holds(filter, args[filter.arg_index] ?? 0n))
  }
}

function holds({ operator, value, mask }: Filter, argument: bigint): boolean {
  const wanted = BigInt(value)
  switch (operator) {
    case "eq":
      return argument === wanted
    case "ne":
      return argument !== wanted
    case "gt":
      return argument > wanted
    case "ge":
      return argument >= wanted
    case "lt":
      return argument < wanted
    case "le":
      return argument <= wanted
    case "masked_eq":
      return (argument & BigInt(mask ?? 0)) === wanted
  }
}
