/**
 * Hundreds of processes that work with one vault and are killed by SIGKILL at a step: what was acknowledged is there, what was under way is
 * done or not done, the audit is whole, and the TPM opens the vault with nobody's help. test/unit/vault/kill.test.ts looks at copies
 * that were made at each step.
 */
import { spawnSync } from "node:child_process"
import { expect, test } from "vitest"
import { ProtectorKind } from "../../keyring/protector.ts"
import { program } from "../helpers/programs.ts"
import { skipIf } from "../helpers/requirements.ts"
import { Swtpm, requireSwtpm } from "../helpers/swtpm.ts"
import { KEY, TestVault } from "../helpers/vault.ts"
import { Random } from "../model/random.ts"
import { applied, operationsOf, stateOf } from "../unit/vault/kill-operations.ts"

const KILLS = Number(process.env["CLAWFS_TEST_KILLS"] ?? 300)
/** Of one process; most have been killed before. */
const OPERATIONS = 12
/** Operations have two to five of them. */
const MOST_STEPS = 20

test(`nothing is lost by ${KILLS} kills, and none needs anybody`, async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  const people = [KEY, { kind: ProtectorKind.RECOVERY, secret: Buffer.alloc(32, 2) }]
  using place = new TestVault({ tcti: swtpm.tcti, pcrs: [7] }, { people })
  const random = new Random(20261122)
  const killedAt = new Map<string, number>()
  let state = (() => {
    const known = stateOf(place.database(), place.open({}))
    place.close()
    return known
  })()
  for (let kills = 0, seed = 1; kills < KILLS; seed += 1) {
    const last = 1 + random.below(MOST_STEPS)
    const args = [place.directory, String(seed), String(OPERATIONS), String(last)]
    const child = spawnSync(process.execPath, [program("test/unit/vault/kill-child.ts"), ...args], {
      encoding: "utf8",
    })
    const lines = child.stdout.trim().split("\n")
    const done = lines.filter((line) => line === "done").length
    const step = lines.find((line) => line.startsWith("killed "))
    expect([child.signal, child.stderr], args.join(" ")).toEqual([step === undefined ? null : "SIGKILL", ""])
    const operations = operationsOf(seed, OPERATIONS)
    const before = operations.slice(0, done).reduce(applied, state)
    const under = operations[done]
    const after = under === undefined ? before : applied(before, under)
    const vault = place.open({})
    vault.verifyAudit()
    const found = stateOf(place.database(), vault)
    place.close()
    expect(
      [before, after],
      `seed ${seed}, ${done} done, ${step ?? "not killed"}, then ${under?.kind ?? ""}`,
    ).toContainEqual(found)
    state = found
    if (step === undefined) continue
    kills += 1
    killedAt.set(step.slice("killed ".length), (killedAt.get(step.slice("killed ".length)) ?? 0) + 1)
  }
  console.log(`killed at ${[...killedAt].map(([step, count]) => `${step} ${count}`).join(" · ")}`)
  if (KILLS >= 300) expect(killedAt.size).toBeGreaterThan(25)
})
