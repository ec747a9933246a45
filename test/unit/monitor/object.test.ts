/** The programs for the kernel that are committed are those that their sources give. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { exec } from "../../helpers/exec.ts"
import { repository } from "../../helpers/programs.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"

/** Other versions give other bytes for the same program. */
const CLANG = 14

test("the objects in bpf/ are what scripts/build-bpf.sh makes of the sources, byte by byte", async (context) => {
  const headers = existsSync("/usr/include/bpf/bpf_helpers.h") ? undefined : "not installed: libbpf-dev"
  skipIf(context, requirePrograms("clang", "llvm-strip") ?? headers)
  const { stdout } = await exec("clang", ["--version"])
  const version = Number(/version (\d+)/.exec(stdout)?.[1])
  skipIf(
    context,
    version === CLANG ? undefined : `the objects were made by clang ${CLANG}, this is ${version}`,
  )
  const directory = mkdtempSync(join(tmpdir(), "bpf-"))
  try {
    const { code, stderr } = await exec(join(repository, "scripts", "build-bpf.sh"), [directory])
    expect([code, stderr]).toEqual([0, ""])
    const made = readdirSync(directory).sort()
    expect(made).toEqual(["link.bpf.o", "monitor.bpf.o"])
    for (const name of made)
      expect([
        name,
        readFileSync(join(directory, name)).equals(readFileSync(join(repository, "bpf", name))),
      ]).toEqual([name, true])
  } finally {
    rmSync(directory, { recursive: true })
  }
})
