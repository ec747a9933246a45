/** The program for the kernel that is committed is the one that its source gives. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { exec } from "../../helpers/exec.ts"
import { repository } from "../../helpers/programs.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"

/** Other versions give other bytes for the same program. */
const CLANG = 14

test("bpf/monitor.bpf.o is what scripts/build-bpf.sh makes of the source, byte by byte", async (context) => {
  const headers = existsSync("/usr/include/bpf/bpf_helpers.h") ? undefined : "not installed: libbpf-dev"
  skipIf(context, requirePrograms("clang", "llvm-strip") ?? headers)
  const { stdout } = await exec("clang", ["--version"])
  const version = Number(/version (\d+)/.exec(stdout)?.[1])
  skipIf(context, version === CLANG ? undefined : `the object was made by clang ${CLANG}, this is ${version}`)
  const directory = mkdtempSync(join(tmpdir(), "bpf-"))
  try {
    const output = join(directory, "monitor.bpf.o")
    const { code, stderr } = await exec(join(repository, "scripts", "build-bpf.sh"), [output])
    expect([code, stderr]).toEqual([0, ""])
    expect(readFileSync(output).equals(readFileSync(join(repository, "bpf", "monitor.bpf.o")))).toBe(true)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
