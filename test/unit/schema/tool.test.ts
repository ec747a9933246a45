/** The manifest of tools: its published schema, and its defaults. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { SandboxPolicy } from "../../../schema/sandbox.ts"
import { ToolManifest, manifestJsonSchema } from "../../../schema/tool.ts"
import { repository } from "../../helpers/programs.ts"

test("schema/tool-manifest.schema.json is what the program checks", () => {
  const published = readFileSync(join(repository, "schema", "tool-manifest.schema.json"), "utf8")
  expect(JSON.parse(published)).toEqual(manifestJsonSchema())
})

test("a manifest has the specification's limits unless it says otherwise", () => {
  const manifest = ToolManifest.parse({ tool_id: "t", version: "1.2.3", kind: "native", entry: "t" })
  expect(manifest).toMatchObject({
    memory_limit_mb: 64,
    cpu_quota_percent: 10,
    pids_limit: 16,
    timeout_seconds: 300,
    capabilities: [],
  })
})

test("an empty policy is the one that docs/TOOLS.md shows", () => {
  const manual = readFileSync(join(repository, "docs", "TOOLS.md"), "utf8")
  const [, shown = ""] = /## Policy[^]*?```json\n([^]*?)```/.exec(manual) ?? []
  expect(JSON.parse(shown)).toEqual(SandboxPolicy.parse({}))
})
