/** The help texts, and that docs/CLI.md says the same. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, test } from "vitest"
import { allCommands } from "../../clawfs/cli/commands.ts"
import { ExitCode } from "../../clawfs/cli/exit-code.ts"
import { helpOf, overview } from "../../clawfs/cli/help.ts"
import { closest } from "../../clawfs/cli/suggest.ts"
import { repository } from "../helpers/programs.ts"
import { skipIf } from "../helpers/requirements.ts"
import { clawfs, requireBuild, said } from "./harness.ts"

const COMMANDS = await allCommands()

const manual = readFileSync(join(repository, "docs", "CLI.md"), "utf8")

describe("the program", () => {
  beforeEach((context) => skipIf(context, requireBuild()))

  test("shows the overview, however it is asked", async () => {
    for (const args of [["--help"], ["-h"], ["help"], ["help", "--help"]])
      expect(said(await clawfs(args))).toBe(`exit 0\n${overview(COMMANDS)}`)
  })

  test("explains a command, however it is asked", async () => {
    const [mount] = COMMANDS.filter(({ name }) => name === "mount")
    expect(mount).toBeDefined()
    const text = mount === undefined ? "" : helpOf(mount)
    for (const args of [
      "help mount",
      "mount --help",
      "mount -h",
      "mount -fh",
      "mount a b --help --read-only",
    ])
      expect(said(await clawfs(args.split(" ")))).toBe(`exit 0\n${text}`)
    // After -- there are only operands.
    expect((await clawfs(["mount", "--", "--help", "b"])).code).toBe(66)
  })

  test("tells its version", async () => {
    const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
      version: string
    }
    for (const arg of ["--version", "-V"]) expect(said(await clawfs([arg]))).toBe(`exit 0\nclawfs ${version}`)
  })
})

describe.each(COMMANDS.map((command) => [command.name, command] as const))("clawfs %s", (name, command) => {
  const text = helpOf(command)

  test("has a help that fits a terminal and ends its option lines without a full stop", () => {
    expect(text.startsWith(`usage: clawfs ${name} `)).toBe(true)
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(105)
    for (const { help } of Object.values(command.options)) expect(help).toMatch(/^[a-z0-9].*[^.]$/)
  })

  test("is in docs/CLI.md, word for word", () => {
    expect(manual).toContain(`\n## clawfs ${name}\n`)
    expect(manual).toContain(`\n\`\`\`text\n${text}\n\`\`\`\n`)
  })

  test("gives only exit statuses of the table, each once, and each in docs/CLI.md", () => {
    const codes = command.exits.map(([code]) => code)
    expect(new Set(codes).size).toBe(codes.length)
    expect(codes).toContain(ExitCode.USAGE)
  })
})

test("docs/CLI.md lists every exit status", () => {
  for (const code of Object.values(ExitCode)) expect(manual).toMatch(new RegExp(`^\\| ${code} +\\|`, "m"))
})

test("suggestions are near, or none", () => {
  const names = COMMANDS.map(({ name }) => name)
  expect(
    ["mout", "mounts", "unmont", "statsu", "docter", "ini", "install", "compl"].map((word) =>
      closest(word, names),
    ),
  ).toEqual(["mount", "mount", "unmount", "status", "doctor", "init", "install-service", "completion"])
  expect(["", "x", "frobnicate", "rm"].map((word) => closest(word, names))).toEqual([
    ...[undefined, undefined, undefined, undefined],
  ])
})
