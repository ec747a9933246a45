/**
 * The conformance suite on a mount of ClawFS, or on any directory:
 *
 *     POSIX_DIR=/var/tmp npx vitest run --project mount test/mount/posix.test.ts
 *
 * POSIX_ONLY: a regular expression for "table: case". POSIX_OFF: groups to leave out, separated by commas.
 */
import { chmodSync } from "node:fs"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Mount, mountClawfs } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import { isGroup } from "../posix/check.ts"
import { type Report, Suite, type SuiteOptions, obstacle } from "../posix/suite.ts"
import { tables } from "../posix/tables.ts"

const SHOWN_FAILURES = 40
const directory = process.env["POSIX_DIR"] ?? plainDirectory
const switchedOff = process.env["POSIX_OFF"]?.split(",")

interface Run {
  readonly name: string
  readonly flags: readonly string[]
  readonly off: readonly string[]
  readonly tables: readonly string[]
  readonly encrypted?: boolean
}

const everything = Object.keys(tables)

/** What has to do with names, contents, links and attributes. The others pass too; they take their time. */
const encryptedToo = [
  ...["link", "mkdir", "mknod", "rename", "rmdir", "symlink", "unlink", "acl", "xattr"],
  ...["io", "truncate", "fallocate", "seek", "copy", "mmap", "readdir", "inode"],
]

/** By default the mount is not asked when a file is opened: it refuses the write, not the open. */
const onClawfs: readonly Run[] = [
  { name: "ClawFS", flags: [], off: ["openChecks"], tables: everything },
  {
    name: "ClawFS --open-checks",
    flags: ["--open-checks"],
    off: [],
    tables: ["open", "open-special", "flags", "acl"],
  },
  { name: "an encrypted tree", flags: [], off: ["openChecks"], tables: encryptedToo, encrypted: true },
]
const wholeEncrypted: Run = {
  ...{ name: "an encrypted tree, all of it", flags: [], off: ["openChecks"] },
  ...{ tables: everything, encrypted: true },
}
/** POSIX_ENCRYPTED=all: everything on an encrypted tree (test/slow/posix.test.ts). */
const onMounts = process.env["POSIX_ENCRYPTED"] === "all" ? [wholeEncrypted] : onClawfs
const runs =
  directory === undefined ? onMounts : [{ name: directory, flags: [], off: [], tables: everything }]

function optionsOf({ off }: Run): SuiteOptions {
  const groups = switchedOff ?? off
  const unknown = groups.filter((group) => !isGroup(group))
  if (unknown.length > 0) throw new Error(`POSIX_OFF: no such group: ${unknown.join()}`)
  return { only: new RegExp(process.env["POSIX_ONLY"] ?? ""), off: groups.filter(isGroup) }
}

function describeFailures({ failures }: Report): string {
  const lines = failures.slice(0, SHOWN_FAILURES).map(({ name, message }) => `${name}\n    ${message}`)
  const left = failures.length - lines.length
  return [...lines, ...(left > 0 ? [`… and ${left} more`] : [])].join("\n")
}

const reason = obstacle() ?? (directory === undefined ? requireFuse() : undefined)

describe.each(runs)("POSIX on $name", (run) => {
  let suite: Suite | undefined
  let mount: Mount | undefined
  const totals = { cases: 0, checks: 0, seconds: 0 }

  beforeAll(async () => {
    if (reason !== undefined) return
    if (directory === undefined) {
      mount = await mountClawfs({
        flags: run.flags,
        limitSeconds: 600,
        encrypted: run.encrypted === true,
      })
      chmodSync(dirname(mount.mountpoint), 0o711)
      // The suite's other users must get to the tree.
      if (run.encrypted === true) await mount.run("chmod", ["755", dirname(mount.work)])
    }
    const place = run.encrypted === true ? mount?.work : mount?.mountpoint
    suite = new Suite(directory ?? place ?? "", optionsOf(run))
  })

  afterAll(async () => {
    suite?.[Symbol.dispose]()
    await mount?.[Symbol.asyncDispose]()
    const { cases, checks, seconds } = totals
    if (reason === undefined)
      console.log(`${run.name}: ${checks} checks in ${cases} cases, ${seconds.toFixed(1)} s`)
  })

  it.for(run.tables)("%s", async (file, context) => {
    skipIf(context, reason)
    if (suite === undefined) throw new Error("the suite did not start")
    const report = await suite.run(file, tables[file] ?? [])
    totals.cases += report.cases
    totals.checks += report.checks
    totals.seconds += report.seconds
    const omitted = report.skipped.length === 0 ? "" : `, ${report.skipped.length} cases switched off`
    console.log(
      `${file}: ${report.checks} checks in ${report.cases} cases, ${report.seconds.toFixed(2)} s${omitted}`,
    )
    expect(report.failures.length, describeFailures(report)).toBe(0)
  })
})
