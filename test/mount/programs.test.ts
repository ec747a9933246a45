import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import {
  cProjectOutput,
  gitEnvironment,
  makeCProject,
  makeGitRepository,
  makeManyKinds,
} from "../helpers/fixtures.ts"
import { openTarget, type Target } from "../helpers/mount.ts"
import { requirePrograms, requireTarget, skipIf } from "../helpers/requirements.ts"

test("git clones a repository of three thousand files, works on it and finds nothing broken", async (context) => {
  skipIf(context, requireTarget(), requirePrograms("git"))
  await using target = await openTarget()
  const source = join(target.scratch, "source")
  await makeGitRepository(source)
  const clone = join(target.work, "clone")
  const git = async (...args: string[]): Promise<string> => {
    const options = { env: gitEnvironment, timeoutSeconds: 120 }
    return (await target.run("git", ["-C", clone, ...args], options)).stdout
  }
  await target.run("git", ["clone", "--quiet", "--no-hardlinks", source, clone], { env: gitEnvironment })
  expect(await git("status", "--porcelain")).toBe("")
  expect((await git("ls-files")).split("\n")).toHaveLength(3001)
  await git("checkout", "--quiet", "HEAD~150")
  expect((await git("ls-files")).split("\n")).toHaveLength(751)
  await git("checkout", "--quiet", "main")
  await git("gc", "--quiet", "--prune=now")
  expect(await git("fsck", "--full", "--strict")).toBe("")
  expect(await git("rev-list", "--count", "HEAD")).toBe("200\n")
  await target.mount?.remount()
  expect(await git("status", "--porcelain")).toBe("")
  await target.run("diff", ["-r", "--exclude=.git", source, clone])
})

test("make builds a program with two jobs, sees what is up to date, and the program runs", async (context) => {
  skipIf(context, requireTarget(), requirePrograms("make", "cc"))
  await using target = await openTarget()
  const project = join(target.scratch, "project")
  makeCProject(project)
  await target.run("cp", ["-r", project, target.work])
  const directory = join(target.work, "project")
  const make = (...args: string[]) => target.run("make", ["-s", "-j2", ...args], { cwd: directory })
  await make()
  expect((await target.run(join(directory, "program"), [])).stdout).toBe(cProjectOutput)
  await make("--question")
  await target.run("touch", [join(directory, "src", "parts.h")])
  await expect(make("--question")).rejects.toThrow("exit 1")
  await make()
  await make("--question")
  await make("clean")
  expect((await target.run("ls", [directory])).stdout).toBe("Makefile\nsrc\n")
})

/** What rsync would have to change to make the second tree like the first, by content. */
async function differences(target: Target, from: string, to: string): Promise<string> {
  const flags = ["-aHAXn", "--itemize-changes", "--delete", "--checksum", "--numeric-ids"]
  return (await target.run("rsync", [...flags, `${from}/`, `${to}/`])).stdout
}

const kinds = ["bash", "rsync", "setfacl", "setfattr"] as const

test("rsync copies files of every kind there and back and finds nothing different", async (context) => {
  skipIf(context, requireTarget(), requirePrograms(...kinds))
  await using target = await openTarget()
  const [source, there, back] = [
    join(target.scratch, "source"),
    join(target.work, "there"),
    join(target.scratch, "back"),
  ]
  await makeManyKinds(source)
  await target.run("rsync", ["-aHAXS", "--numeric-ids", `${source}/`, `${there}/`])
  expect(await differences(target, source, there)).toBe("")
  await target.mount?.remount()
  expect(await differences(target, source, there)).toBe("")
  await target.run("rsync", ["-aHAXS", "--numeric-ids", `${there}/`, `${back}/`])
  expect(await differences(target, source, back)).toBe("")
  // holes are still holes
  const blocks = await target.run("stat", ["-c", "%b", join(there, "only-a-hole"), join(there, "sparse")])
  for (const count of blocks.stdout.trim().split("\n")) expect(Number(count) * 512).toBeLessThan(300_000)
})

test("tar packs files of every kind from the mount and unpacks them onto it without a loss", async (context) => {
  skipIf(context, requireTarget(), requirePrograms(...kinds, "tar"))
  await using target = await openTarget()
  const [source, there, back] = [
    join(target.scratch, "source"),
    join(target.work, "there"),
    join(target.scratch, "back"),
  ]
  await makeManyKinds(source)
  await target.run("mkdir", [there])
  mkdirSync(back)
  const flags = [
    "--sparse",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--numeric-owner",
    "--same-owner",
    "-p",
  ]
  const pack = (from: string, archive: string) =>
    target.run("tar", [...flags, "-cf", archive, "-C", from, "."])
  const unpack = (archive: string, to: string) => target.run("tar", [...flags, "-xf", archive, "-C", to])
  await pack(source, join(target.work, "archive.tar"))
  await unpack(join(target.work, "archive.tar"), there)
  expect(await differences(target, source, there)).toBe("")
  await pack(there, join(target.scratch, "archive.tar"))
  await unpack(join(target.scratch, "archive.tar"), back)
  expect(await differences(target, source, back)).toBe("")
})

test("programs and scripts that lie on the mount can be executed", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  await target.run("cp", [process.execPath, join(target.work, "node")])
  const { stdout } = await target.run(join(target.work, "node"), ["-p", "6 * 7"])
  expect(stdout).toBe("42\n")
  const script = join(target.work, "script")
  await target.run("sh", [
    "-c",
    `printf '#!/bin/sh\\necho "run with $1"\\n' >"${script}" && chmod +x "${script}"`,
  ])
  expect((await target.run(script, ["this"])).stdout).toBe("run with this\n")
  // while it runs it cannot be written to
  const busy = `"${target.work}/node" -e 'setTimeout(() => {}, 3000)' & sleep 0.5; printf x >>"${target.work}/node"; code=$?; kill $!; exit $code`
  await expect(target.run("sh", ["-c", busy])).rejects.toThrow("Text file busy")
})
