import { join } from "node:path"
import { expect, test } from "vitest"
import { exec } from "../helpers/exec.ts"
import { openTarget } from "../helpers/mount.ts"
import { requirePrograms, requireTarget, skipIf } from "../helpers/requirements.ts"

/** Some 260 packages with 4000 files. */
const jest = "jest@29.7.0"

async function requireRegistry(): Promise<string | undefined> {
  const { code } = await exec("npm", ["view", jest, "version"], { timeoutSeconds: 60 })
  return code === 0 ? undefined : "the npm registry cannot be reached"
}

test("npm installs a package with hundreds of dependencies, which then runs", async (context) => {
  skipIf(context, requireTarget(), requirePrograms("npm"))
  skipIf(context, await requireRegistry())
  await using target = await openTarget({ limitSeconds: 900 })
  const cache = { npm_config_cache: join(target.scratch, "cache") }
  const options = { cwd: target.work, env: cache, timeoutSeconds: 600 }
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
  await target.run("npm", ["init", "-y"], options)
  const installed = await target.run("npm", ["install", ...quiet, jest], options)
  console.log(`npm install: ${Math.round(installed.milliseconds / 1000)} s`)
  await target.run("npm", ["ls", "--all"], options)
  await target.run("sh", ["-c", "echo \"test('adds', () => expect(1 + 1).toBe(2))\" >sum.test.js"], options)
  const tested = await target.run("node_modules/.bin/jest", ["--ci"], options)
  expect(tested.stderr).toContain("1 passed")
  const again = await target.run("npm", ["ci", ...quiet], options)
  console.log(`npm ci: ${Math.round(again.milliseconds / 1000)} s`)
  // the same files as npm makes on the machine's own disk
  const reference = join(target.scratch, "reference")
  await target.run(
    "sh",
    ["-c", `mkdir "${reference}" && cp package.json package-lock.json "${reference}"`],
    options,
  )
  await target.run("npm", ["ci", ...quiet], { ...options, cwd: reference })
  await target.run("diff", [
    "-r",
    "--no-dereference",
    join(reference, "node_modules"),
    join(target.work, "node_modules"),
  ])
  const removed = await target.run("rm", ["-rf", "node_modules"], options)
  console.log(`rm -rf node_modules: ${Math.round(removed.milliseconds)} ms`)
})
