/** The work of `clawfs migrate`: which action, and what it needs. */
import { once } from "node:events"
import { resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { apply } from "../../migrate/apply.ts"
import { findMasterKey } from "../../migrate/master-key.ts"
import { openSource, type OpenSource, type Origin } from "../../migrate/open.ts"
import { plan } from "../../migrate/plan.ts"
import { ServerAway } from "../../migrate/postgres/server.ts"
import { hasPassword, readUrl } from "../../migrate/postgres/url.ts"
import { forget, rollback } from "../../migrate/rollback.ts"
import { RUNS, Run, checkRunName, runNameOf } from "../../migrate/run.ts"
import { Secrets, type SecretStore } from "../../migrate/secrets/transfer.ts"
import { verify } from "../../migrate/verify.ts"
import { readOwn } from "../../../keyring/key-file.ts"
import { wipe } from "../../../keyring/secret.ts"
import { Fault } from "../../core/fault.ts"
import { unknownAction } from "../action.ts"
import { UsageError } from "../command.ts"
import { MIGRATE_ACTIONS, type MigrateInvocation } from "../commands/migrate.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"
import { seconds } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import { vaultDirectory } from "../vault/place.ts"
import { vaultStore } from "../vault/secret-store.ts"
import { Events, type Progress } from "./migrate-events.ts"
import { showApplied, showPlan, showRolledBack, showRun, showVerified } from "./migrate-show.ts"
import { listNames } from "./migrate-runs.ts"

type Action = (typeof MIGRATE_ACTIONS)[number]

/** How often the database is asked whether it has changed. */
const DEFAULT_SECONDS = 5
const MOST_SECONDS = 86_400
const NEEDS_SOURCE: readonly Action[] = ["postgres", "plan", "verify"]

export async function runMigrate(invocation: MigrateInvocation): Promise<ExitCode> {
  const { operands, values } = invocation
  const [name = "", what] = operands
  if (!(MIGRATE_ACTIONS as readonly string[]).includes(name))
    throw unknownAction("migrate", name, MIGRATE_ACTIONS)
  const action = name as Action
  if (action !== "postgres" && (values.follow ?? values.every) !== undefined)
    throw new UsageError("migrate: --follow and --every are for postgres")
  if (what === undefined && action !== "status")
    throw new UsageError(
      `migrate ${name}: ${NEEDS_SOURCE.includes(action) ? "URL or FILE" : "RUN"} is missing`,
    )
  if (values.follow === true && !isUrl(what ?? ""))
    throw new UsageError("migrate: --follow needs a server: a dump does not change")
  if (action === "rollback") return takeBack(invocation, what ?? "")
  if (action === "status") return status(invocation, what)
  const masterKey = findMasterKey({
    ...{ file: values["master-key-file"], home: values["ironclaw-home"], environment: process.env },
  })
  try {
    if (values.follow === true) return await follow(invocation, what ?? "", masterKey)
    await using source = await opened(invocation, what ?? "", masterKey)
    return await withSource(action, invocation, source, { masterKey })
  } finally {
    if (masterKey !== undefined) wipe(masterKey)
  }
}

/** Migrates again whenever the database has changed, until a signal comes; then once more, and verifies. */
async function follow(
  invocation: MigrateInvocation,
  url: string,
  masterKey: Buffer | undefined,
): Promise<ExitCode> {
  const every = seconds("migrate", "--every", invocation.values.every, MOST_SECONDS) ?? DEFAULT_SECONDS
  const stop = new AbortController()
  // A second signal ends the process as usual: it can be killed anywhere.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  let moment: string | undefined
  while (!stop.signal.aborted) {
    moment = await followed(invocation, url, { masterKey, since: moment })
    await Promise.race([sleep(every * 1000, undefined, { ref: true }), aborted(stop.signal)])
  }
  invocation.terminal.note("the last pass, then everything is compared")
  await using source = await opened(invocation, url, masterKey)
  const code = await withSource("postgres", invocation, source, { masterKey })
  const verified = await withSource("verify", invocation, source, { masterKey })
  return code === ExitCode.OK ? verified : code
}

/** One pass; returns the moment up to which all is migrated. A server that goes away after the first pass is waited for. */
async function followed(
  invocation: MigrateInvocation,
  url: string,
  given: Given,
): Promise<string | undefined> {
  const { masterKey, since } = given
  try {
    await using source = await opened(invocation, url, masterKey)
    // What nobody has written since the last pass is not asked for again.
    if (source.moment !== since) await withSource("postgres", invocation, source, given)
    return source.moment
  } catch (thrown) {
    if (!(thrown instanceof ServerAway) || since === undefined) throw thrown
    invocation.terminal.note(`${thrown.message}; it is tried again`)
    return since
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort")
}

async function opened(
  { values, terminal }: MigrateInvocation,
  what: string,
  masterKey: Buffer | undefined,
): Promise<OpenSource> {
  const file = values["password-file"]
  const password =
    file === undefined
      ? undefined
      : readOwn(file, "password file")
          .toString()
          .replace(/\r?\n$/, "")
  if (hasPassword(what))
    terminal.note("the password in the URL can be seen by other users; PGPASSWORD or ~/.pgpass hides it")
  const origin: Origin = isUrl(what)
    ? { server: readUrl(what, process.env, password) }
    : { dump: resolve(what), searchPath: process.env["PATH"] ?? "" }
  const given = values.run === undefined ? undefined : checkRunName(values.run)
  return await openSource({
    origin,
    schema: values.schema,
    masterKey,
    home: values["ironclaw-home"],
    embeddingModel: values["embedding-model"],
    run: (identity) => given ?? runNameOf(identity),
  })
}

/** Everything else is the path of a dump. */
const isUrl = (what: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(what)

interface Given {
  readonly masterKey: Buffer | undefined
  /** The moment of the last pass. */
  readonly since?: string | undefined
}

async function withSource(
  action: Action,
  invocation: MigrateInvocation,
  { source, run: name }: OpenSource,
  { masterKey, since }: Given,
): Promise<ExitCode> {
  const { values, terminal } = invocation
  const asJson = values.json === true
  using secrets = await Secrets.collect(source.secrets())
  if (action === "plan") {
    const planned = await plan(source, secrets, Date.now())
    showPlan(planned, name, terminal, asJson)
    return planned.secrets.lost.length === 0 ? ExitCode.OK : ExitCode.NO
  }
  const store = storeFor(action, invocation, secrets, masterKey)
  using run = new Run(mountHere(values.mount).mountpoint, name)
  const started = performance.now()
  using line = new ProgressLine(terminal, action === "verify" ? "verifying" : "migrating")
  const events = asJson && action === "postgres" ? new Events(terminal) : undefined
  const onProgress = (table: string, done: number, total: number): void => {
    const progress = progressOf(table, done, total, started)
    events?.progress(progress)
    if (events === undefined) line.show(rated(progress), done, total)
  }
  const tables = await source.tables()
  const work = {
    source,
    tables,
    run,
    secrets,
    store,
    masterKey,
    theirs: values.theirs === true,
    since,
    onProgress,
  }
  const unknownTables = tables
    .filter(({ disposition }) => disposition === "unknown")
    .map(({ table }) => table)
  const isStrange = values.strict === true && unknownTables.length > 0
  if (action === "verify") {
    if (run.header() === undefined) throw noRun(name)
    const verified = await verify(work)
    line.clear()
    if (asJson && values.follow === true) new Events(terminal).verified(name, verified)
    else showVerified(verified, name, terminal, asJson)
    return verified.losses.length === 0 && !isStrange ? ExitCode.OK : ExitCode.NO
  }
  events?.plan(name, source, tables, secrets.found.length)
  const applied = await apply({ ...work, onPlaced: (item, placed) => events?.placed(item, placed) })
  line.clear()
  const about = {
    run: name,
    unknownTables,
    seconds: Number(((performance.now() - started) / 1000).toFixed(3)),
  }
  if (events === undefined) showApplied(applied, about, terminal)
  else events.done(applied, about)
  return applied.losses.length === 0 && !isStrange ? ExitCode.OK : ExitCode.NO
}

/** The vault, if there is anything for it. Throws while nothing is written yet: for secrets that can't be had, for a locked or missing vault. */
function storeFor(
  action: Action,
  { values }: MigrateInvocation,
  secrets: Secrets,
  masterKey: Buffer | undefined,
): SecretStore | undefined {
  if (values["skip-undecryptable"] !== true && action === "postgres")
    secrets.requireAll(masterKey !== undefined)
  if (secrets.found.every(({ value }) => value === undefined)) return undefined
  const store = vaultStore(vaultDirectory(values.vault))
  store.list()
  return store
}

function progressOf(table: string, done: number, total: number, started: number): Progress {
  const seconds = (performance.now() - started) / 1000
  const rate = done / Math.max(seconds, 0.001)
  const secondsLeft = rate > 0 ? Math.ceil(Math.max(0, total - done) / rate) : 0
  return { table, done, total, rowsPerSecond: Math.round(rate), secondsLeft }
}

/** What is being done, how fast, and how long it still takes. */
function rated({ table, rowsPerSecond, secondsLeft }: Progress): string {
  return `${table}, ${rowsPerSecond} rows/s, ${secondsLeft} s left`
}

function noRun(name: string): Fault {
  return new Fault("not-found", `there is no run ${name}`, { hint: "clawfs migrate status lists them" })
}

function takeBack({ values, terminal }: MigrateInvocation, name: string): ExitCode {
  using run = new Run(mountHere(values.mount).mountpoint, name)
  if (run.header() === undefined) throw noRun(name)
  const hasSecrets = [...run.ledger.lines()].some((line) => "secret" in line)
  const done = rollback(run, hasSecrets ? vaultStore(vaultDirectory(values.vault)) : undefined)
  if (done.kept.length === 0) forget(run)
  showRolledBack(done, name, terminal, values.json === true)
  return done.kept.length === 0 ? ExitCode.OK : ExitCode.NO
}

function status({ values, terminal }: MigrateInvocation, name: string | undefined): ExitCode {
  const { mountpoint } = mountHere(values.mount)
  const names = name === undefined ? listNames(mountpoint, RUNS) : [checkRunName(name)]
  if (names.length === 0) terminal.note("nothing was migrated yet")
  const shown = names.map((each) => {
    using run = new Run(mountpoint, each)
    const header = run.header()
    if (header === undefined) throw noRun(each)
    return showRun(run, header)
  })
  if (values.json === true) terminal.out(JSON.stringify(shown, undefined, 2))
  else
    for (const { run, source, files, secrets, conflicts } of shown)
      terminal.out(`${run}  ${source}  ${files} files, ${secrets} secrets, ${conflicts} conflicts`)
  return ExitCode.OK
}
