/** One TPM in software for the tests of a file: started before them, stopped after them; without swtpm they are skipped. */
import { afterAll, beforeAll, beforeEach } from "vitest"
import { skipIf } from "./requirements.ts"
import { Swtpm, requireSwtpm } from "./swtpm.ts"

/** Gives the TPM while tests run. */
export function useSwtpm(): () => Swtpm {
  const reason = requireSwtpm()
  let started: Swtpm | undefined
  beforeAll(async () => {
    if (reason === undefined) started = await Swtpm.start()
  })
  afterAll(async () => {
    await started?.[Symbol.asyncDispose]()
  })
  beforeEach((context) => skipIf(context, reason))
  return () => {
    if (started === undefined) throw new Error("swtpm runs while tests do")
    return started
  }
}
