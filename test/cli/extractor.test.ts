/** The extractor's process, found and run beside the compiled modules. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { expect, test } from "vitest"
import { compiledModules } from "../helpers/programs.ts"

const folder = join(compiledModules, "clawfs/search/extract")

const script = `
import { Extractor } from ${JSON.stringify(join(folder, "extractor.js"))}
import { bufferSource } from ${JSON.stringify(join(folder, "source.js"))}
const extractor = new Extractor()
const { text, state } = await extractor.extract("a.html", bufferSource(Buffer.from("<html><p>compiled")))
await extractor[Symbol.asyncDispose]()
process.stdout.write(text ?? state)
`

test("a web page is read by the compiled extractor", () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  })
  expect({ stdout, stderr, status }).toEqual({ stdout: "compiled\n", stderr: "", status: 0 })
})
