/** Whatever is granted, used, revoked, rotated and removed in whichever order, at whatever time: no value without `reveal`. */
import fc from "fast-check"
import { afterEach, expect, test, vi } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"

const NAMES = ["a", "b"] as const
const UIDS = [1001, 1002] as const
const VERBS = ["reveal", "sign", "exec"] as const
const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000

type Step =
  | { readonly do: "put" | "rm"; readonly name: string }
  | {
      readonly do: "grant"
      readonly name: string
      readonly verb: string
      readonly uid?: number
      readonly uses?: number
      readonly minutes: number
    }
  | { readonly do: "revoke"; readonly which: number }
  | { readonly do: "use"; readonly name: string; readonly verb: "reveal" | "sign"; readonly uid: number }
  | { readonly do: "wait"; readonly minutes: number }
  | { readonly do: "rotate" | "reopen" }

const name = fc.constantFrom(...NAMES)
const uid = fc.constantFrom(...UIDS)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom("put" as const, "put" as const, "rm" as const), name }),
  fc.record(
    {
      ...{ do: fc.constant("grant" as const), name, verb: fc.constantFrom(...VERBS), uid },
      ...{ uses: fc.integer({ min: 0, max: 2 }), minutes: fc.integer({ min: 0, max: 5 }) },
    },
    { requiredKeys: ["do", "name", "verb", "minutes"] },
  ),
  fc.record({ do: fc.constant("revoke" as const), which: fc.nat(5) }),
  fc.record({
    do: fc.constant("use" as const),
    name,
    verb: fc.constantFrom("reveal" as const, "sign" as const),
    uid,
  }),
  fc.record({
    do: fc.constant("use" as const),
    name,
    verb: fc.constantFrom("reveal" as const, "sign" as const),
    uid,
  }),
  fc.record({ do: fc.constant("wait" as const), minutes: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant("rotate" as const) }),
)

interface Granted {
  readonly id: number
  readonly name: string
  readonly verb: string
  readonly uid: number | undefined
  uses: number
  readonly until: number
}

/** What the vault should do, in a few lines. */
class Model {
  readonly values = new Map<string, string>()
  readonly grants: Granted[] = []

  takes(wanted: Extract<Step, { do: "use" }>, now: number): boolean {
    if (!this.values.has(wanted.name)) return false
    const found = this.grants.find(
      (grant) =>
        grant.name === wanted.name &&
        grant.verb === wanted.verb &&
        (grant.uid === undefined || grant.uid === wanted.uid) &&
        grant.uses > 0 &&
        (grant.until === 0 || now < grant.until),
    )
    if (found !== undefined) found.uses -= 1
    return found !== undefined
  }
}

afterEach(() => void vi.useRealTimers())

function used(
  vault: TestMethods,
  { name: secret, verb, uid: who }: Extract<Step, { do: "use" }>,
): string | undefined {
  const subject = { ...AGENT, uid: who }
  try {
    if (verb === "reveal") return vault.get(subject, secret)
    return JSON.stringify(
      vault.call(subject, "sign", { name: secret, kind: "hmac-sha256", fd: 0 }, [Buffer.from("m")]),
    )
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "denied") return undefined
    throw thrown
  }
}

function run(vault: TestMethods, model: Model, each: Step, serial: number): void {
  switch (each.do) {
    case "put": {
      const value = `value-${serial}-${each.name}`.padEnd(32, "x")
      vault.put(each.name, value)
      model.values.set(each.name, value)
      return
    }
    case "rm":
      if (model.values.delete(each.name)) vault.call(OWNER, "rm", { name: each.name })
      return
    case "grant": {
      if (!model.values.has(each.name)) return
      const until = each.minutes === 0 ? 0 : Date.now() + each.minutes * MINUTE
      const { uid: who, uses } = each
      const id = vault.grant(each.name, each.verb, {
        ...{ until, ...(who === undefined ? {} : { uid: who }), ...(uses === undefined ? {} : { uses }) },
      })
      model.grants.push({ id, name: each.name, verb: each.verb, uid: who, uses: uses ?? Infinity, until })
      return
    }
    case "revoke": {
      const [gone] = model.grants.splice(each.which, 1)
      if (gone !== undefined) vault.call(OWNER, "revoke", { id: gone.id })
      return
    }
    case "use": {
      const answer = used(vault, each)
      expect(answer !== undefined, JSON.stringify(each)).toBe(model.takes(each, Date.now()))
      if (each.verb === "reveal" && answer !== undefined) expect(answer).toBe(model.values.get(each.name))
      else for (const value of model.values.values()) expect(answer ?? "").not.toContain(value)
      return
    }
    case "wait":
      vi.setSystemTime(Date.now() + each.minutes * MINUTE)
      return
    default:
      vault.vault.rotate(OWNER)
  }
}

test("a model of a few lines says what the vault does", () => {
  vi.useFakeTimers({ toFake: ["Date"], now: START })
  let uses = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 30 }), (steps) => {
      vi.setSystemTime(START)
      using vault = new TestMethods()
      const model = new Model()
      for (const secret of NAMES) run(vault, model, { do: "put", name: secret }, 0)
      steps.forEach((each, at) => run(vault, model, each, at + 1))
      uses += steps.filter((each) => each.do === "use").length
      // Every use, allowed or not, is in the audit, and no value is.
      const rows = vault.call(OWNER, "audit", {}) as { event: string }[]
      expect(rows.filter(({ event }) => event === "get" || event === "sign")).toHaveLength(
        steps.filter((each) => each.do === "use").length,
      )
      for (const value of model.values.values()) expect(JSON.stringify(rows)).not.toContain(value)
      vault.vault.verifyAudit()
    }),
    { numRuns: 25 },
  )
  expect(uses).toBeGreaterThan(40)
})
