/** The work of `clawfs tool`. It works on the mount like other programs; only the start of the runner is asked of the daemon. */
import { existsSync } from "node:fs"
import { constants } from "node:os"
import type { RegistryEntry, ToolDefinition } from "../../../schema/tool.ts"
import type { Output, ToolAnswer } from "../../../schema/tool-answer.ts"
import { call } from "../../api/client.ts"
import { Fault, describe } from "../../core/fault.ts"
import { plainText } from "../../core/plain-text.ts"
import { Capture } from "../../runner/capture.ts"
import { Calling, type CalledTool } from "../../runner/client.ts"
import { LAUNCHER } from "../../runner/find-programs.ts"
import { refusal } from "../../runner/outcome.ts"
import { replaceProcess } from "../../sys/replace-process.ts"
import { install } from "../../tools/install.ts"
import { ToolPlaces } from "../../tools/places.ts"
import { readPolicy } from "../../tools/policy.ts"
import { entryOf, readDefinition, readRegistry } from "../../tools/registry.ts"
import { disable, enable, remove } from "../../tools/remove.ts"
import { readSource } from "../../tools/source.ts"
import { collect, verify } from "../../tools/verify.ts"
import { unknownAction } from "../action.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type ToolInvocation } from "../commands/tool.ts"
import { ExitCode, exitCodeOf, type PassedOn } from "../exit-code.ts"
import type { Inside } from "../inside.ts"
import { faultOf } from "../node-fault.ts"
import { mountHere } from "../mount-here.ts"
import { count } from "../numbers.ts"

const STDIN = 0
const DEFAULT_KEEP = 2
/** As a shell says of a command that it does not find. */
const NO_SUCH_TOOL = 127
const NOTHING: Output = { encoding: "utf8", data: "", truncated: false }

type Action = (typeof ACTIONS)[number]

export async function runTool(invocation: ToolInvocation): Promise<ExitCode | PassedOn> {
  const { operands, values } = invocation
  const [action = "", name] = operands
  if (!(ACTIONS as readonly string[]).includes(action)) throw unknownAction("tool", action, ACTIONS)
  requireFitting(action as Action, invocation)
  const here = findMount(invocation, action as Action)
  const places = new ToolPlaces(here.mountpoint)
  switch (action as Action) {
    case "install":
      return await installFrom(invocation, here, places, named(name, "SOURCE"))
    case "list":
      return list(invocation, places)
    case "show":
      return show(invocation, places, named(name))
    case "run":
      return await (values.json === true ? executeForPrograms : execute)(
        invocation,
        places,
        named(name),
        operands.slice(2),
      )
    case "enable":
      return await switchOn(invocation, places, named(name))
    case "disable":
      await disable(places, named(name))
      return ExitCode.OK
    case "remove":
      await remove(places, named(name))
      return ExitCode.OK
    case "verify":
      return check(invocation, places, name)
    case "gc":
      return await cleanUp(invocation, places)
    default:
      throw unknownAction("tool", action, ACTIONS)
  }
}

/** Who asked for JSON has it also where there is no ClawFS. */
function findMount({ values, terminal }: ToolInvocation, action: Action): Inside {
  try {
    return mountHere(values.mount, "--mount DIRECTORY says which")
  } catch (thrown) {
    const fault = faultOf(thrown)
    if (action === "run" && values.json === true && fault !== undefined) {
      const outcome = { ...refusal(fault).outcome, exit_code: exitCodeOf[fault.kind] }
      terminal.out(
        JSON.stringify({ ...outcome, stdout: NOTHING, stderr: NOTHING } satisfies ToolAnswer, undefined, 2),
      )
    }
    throw thrown
  }
}

/** Which options belong to which action. */
const BELONGS: Readonly<Record<"yes" | "use" | "keep" | "json", readonly Action[]>> = {
  yes: ["install"],
  use: ["enable"],
  keep: ["gc"],
  json: ["list", "show", "run", "verify"],
}

function requireFitting(action: Action, { values, operands }: ToolInvocation): void {
  for (const [option, actions] of Object.entries(BELONGS) as [keyof typeof BELONGS, readonly Action[]][])
    if (values[option] !== undefined && !actions.includes(action))
      throw new UsageError(`tool: --${option} is for ${actions.join(", ")}`)
  if ((action === "list" || action === "gc") && operands.length > 1)
    throw new UsageError(`tool: ${action} takes no NAME`)
}

function named(name: string | undefined, what = "NAME"): string {
  if (name === undefined) throw new UsageError(`tool: ${what} is missing`)
  return name
}

async function installFrom(
  { values, terminal }: ToolInvocation,
  { store }: Inside,
  places: ToolPlaces,
  path: string,
): Promise<ExitCode> {
  const source = readSource(path)
  const options = { policy: readPolicy(places), isAgreed: values.yes === true, launcher: LAUNCHER }
  const { definition, isOld, isImmutable } = await install(places, source, options)
  const { tool_id: name, version, capabilities } = definition
  terminal.out(`${isOld ? "already installed" : "installed"} ${name} ${version}: ${places.command(name)}`)
  for (const capability of capabilities) terminal.out(`  ${capability}`)
  if (!isImmutable)
    terminal.note("only root can make the file immutable; its hash is compared before it runs")
  try {
    await call(store, "tools.begin")
  } catch (thrown) {
    terminal.note(
      `the daemon could not be told to run tools (${describe(thrown)}); it does so when it is mounted again`,
    )
  }
  return ExitCode.OK
}

function list({ values, terminal }: ToolInvocation, places: ToolPlaces): ExitCode {
  const registry = readRegistry(places)
  if (values.json === true) {
    terminal.out(JSON.stringify(registry, undefined, 2))
    return ExitCode.OK
  }
  const rows = Object.entries(registry.tools).map(([name, entry]) => {
    const definition = definitionOrFault(places, name, entry)
    const text =
      definition instanceof Fault ? `damaged: ${definition.message}` : plainText(definition.description)
    return [name, entry.current, entry.enabled ? "enabled" : "disabled", text]
  })
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows)
    terminal.out(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
  return ExitCode.OK
}

function definitionOrFault(places: ToolPlaces, name: string, entry: RegistryEntry): ToolDefinition | Fault {
  try {
    return readDefinition(places, name, entry)
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
}

function show({ values, terminal }: ToolInvocation, places: ToolPlaces, name: string): ExitCode {
  const entry = entryOf(readRegistry(places), name)
  const definition = readDefinition(places, name, entry)
  if (values.json === true) {
    terminal.out(
      JSON.stringify({ ...definition, enabled: entry.enabled, versions: entry.versions }, undefined, 2),
    )
    return ExitCode.OK
  }
  const { memory_limit_mb, cpu_quota_percent, pids_limit, timeout_seconds, tmp_limit_mb, io_limit_mb } =
    definition
  const disk = io_limit_mb === null ? "" : `, ${io_limit_mb} MiB/s of the disk`
  const rows: readonly (readonly [string, string])[] = [
    ["name", name],
    ["version", `${definition.version} (${entry.enabled ? "enabled" : "disabled"})`],
    ["versions", entry.versions.map(({ version }) => version).join(", ")],
    ["description", plainText(definition.description)],
    ["kind", definition.kind],
    ["hash", definition.binary_hash],
    ["capabilities", definition.capabilities.join("\n              ") || "none"],
    [
      "limits",
      `${memory_limit_mb} MiB, ${cpu_quota_percent} % of a CPU, ${pids_limit} processes, ${timeout_seconds} s, ${tmp_limit_mb} MiB in /tmp${disk}`,
    ],
    ["author", plainText(definition.author)],
    ["license", plainText(definition.license)],
  ]
  for (const [title, text] of rows) if (text !== "") terminal.out(`${title.padEnd(14)}${text}`)
  return ExitCode.OK
}

/** What asks a tool for something, or to end. */
const PASSED_ON: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]

/** Executes the tool's file in this process's place: signals, SIGKILL among them, are for its launcher then. */
function execute(
  { terminal }: ToolInvocation,
  places: ToolPlaces,
  name: string,
  args: readonly string[],
): PassedOn {
  if (isThere(places, name)) replaceProcess(places.command(name), args)
  terminal.fail(`there is no tool "${name}"`, "clawfs tool list shows them")
  return NO_SUCH_TOOL as PassedOn
}

function isThere(places: ToolPlaces, name: string): boolean {
  return /^[a-z0-9]/.test(name) && !name.includes("/") && existsSync(places.command(name))
}

/** The same, with what it has written and how it went as one JSON object (`ToolAnswer`). */
async function executeForPrograms(
  { terminal }: ToolInvocation,
  places: ToolPlaces,
  name: string,
  args: readonly string[],
): Promise<PassedOn> {
  const { called, stdout, stderr } = await calledTool(places, name, args)
  const answer: ToolAnswer = { ...called.outcome, stdout, stderr }
  terminal.out(JSON.stringify(answer, undefined, 2))
  return called.status as PassedOn
}

interface Called {
  readonly called: CalledTool
  readonly stdout: Output
  readonly stderr: Output
}

async function calledTool(places: ToolPlaces, name: string, args: readonly string[]): Promise<Called> {
  using out = new Capture()
  using err = new Capture()
  const called = await outcomeOf(async () => {
    if (!isThere(places, name))
      throw new Fault("not-found", `there is no tool "${name}"`, { hint: "clawfs tool list shows them" })
    const env = Object.entries(process.env).map(([variable, value]) => `${variable}=${value ?? ""}`)
    const calling = new Calling({
      words: { name, directory: workingDirectory(), args, env },
      file: places.command(name),
      stdio: [STDIN, out.fd, err.fd],
    })
    for (const signal of PASSED_ON) process.on(signal, () => calling.signal(constants.signals[signal]))
    out.handedOver()
    err.handedOver()
    return await calling.ended
  })
  return { called, stdout: await out.output(), stderr: await err.output() }
}

/** Empty for one that was removed. */
function workingDirectory(): string {
  try {
    return process.cwd()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown
    return ""
  }
}

/** What fails on the way to the daemon is an answer too. */
async function outcomeOf(work: () => Promise<CalledTool>): Promise<CalledTool> {
  try {
    return await work()
  } catch (thrown) {
    const { status, outcome } = refusal(thrown)
    return { status, outcome }
  }
}

async function switchOn(
  { values, terminal }: ToolInvocation,
  places: ToolPlaces,
  name: string,
): Promise<ExitCode> {
  const { current } = await enable(places, name, values.use)
  terminal.out(`${name} ${current}`)
  return ExitCode.OK
}

function check({ values, terminal }: ToolInvocation, places: ToolPlaces, name: string | undefined): ExitCode {
  if (name !== undefined) entryOf(readRegistry(places), name)
  const problems = verify(places, name)
  if (values.json === true) terminal.out(JSON.stringify({ problems }, undefined, 2))
  else for (const problem of problems) terminal.out(problem)
  return problems.length === 0 ? ExitCode.OK : ExitCode.NO
}

async function cleanUp({ values, terminal }: ToolInvocation, places: ToolPlaces): Promise<ExitCode> {
  const keep = values.keep === undefined ? DEFAULT_KEEP : values.keep === "0" ? 0 : count(values.keep)
  if (keep === undefined) throw new UsageError(`tool: --keep takes a number, got "${values.keep ?? ""}"`)
  const { versions, files } = await collect(places, keep)
  for (const path of [...versions, ...files]) terminal.out(`removed ${path}`)
  return ExitCode.OK
}
