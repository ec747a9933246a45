/**
 * Plays the scripted session again and again, each time with another call on the store's files failing. Whatever was
 * acknowledged must be there, deleting must work, and once there is room the session must go on to its end.
 *
 * Runs below test/faults/shim.c, which test/faults/run.ts sees to. Arguments: the modes, how far apart the failing calls
 * are, and a first one. Prints one JSON object.
 */
import { constants } from "node:os"
import { Fault } from "../../clawfs/core/fault.ts"
import { fsck } from "../../clawfs/fsck/fsck.ts"
import { brokenInvariants } from "../unit/support/invariants.ts"
import { Session } from "../unit/support/session.ts"
import { TestServer } from "../unit/support/server.ts"
import { Faults, type Mode } from "./faults.ts"
import { create, script, unlink, write, type Model, type Nodes, type Step } from "./steps.ts"
import { differences } from "./tree.ts"

interface Plan {
  readonly mode: keyof typeof Mode
  readonly errno: number
  /** Calls that succeed first; -1, -2, …: none, one … of a start. */
  readonly after: number
  /** The server is killed while the disk fails, and started again. */
  readonly restart: boolean
}

export interface Report {
  /** Plans that were played, and those in which a call failed. */
  readonly played: number
  readonly hit: number
  /** Steps that a program was told had failed. */
  readonly refused: number
  readonly broken: readonly string[]
}

const { ENOSPC, EDQUOT, EIO } = constants.errno
const ERRNOS: Readonly<Record<string, number>> = { ENOSPC, EDQUOT, EIO }
const STEPS = script()
/** Files that are there to be deleted on the full disk. */
const VICTIMS = 3

class Scene implements Disposable {
  readonly server = new TestServer()
  readonly session = new Session(this.server)
  readonly model: Model = new Map()
  readonly nodes: Nodes = new Map()
  readonly problems: string[] = []
  refused = 0
  /** The disk gives EIO: whatever is asked may have it for an answer, meanwhile. */
  isFailing = false

  /** Whether the step was carried out; it is acknowledged then. */
  play(step: Step): boolean {
    const status = this.#ask(step)
    if (status === 0) step.apply(this.model)
    else this.refused += 1
    return status === 0
  }

  /** A `Fault` between requests is the server's to bear. */
  #ask(step: Step): number {
    try {
      return step.ask(this.session, this.nodes)
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
      return -1
    }
  }

  expect(step: Step, when: string): void {
    const status = this.#ask(step)
    if (status === 0) step.apply(this.model)
    else if (!this.isFailing || status !== -EIO) this.problems.push(`${step.name} fails ${when}: ${status}`)
  }

  look(when: string): void {
    try {
      for (const line of differences(this.session, this.model)) this.problems.push(`${line} ${when}`)
    } catch (thrown) {
      if (!this.isFailing || !isEio(thrown))
        this.problems.push(`the tree can't be read ${when}: ${String(thrown)}`)
    }
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]()
  }
}

/** As `Session` tells that a request failed. */
const isEio = (thrown: unknown): boolean =>
  thrown instanceof Error && thrown.message.endsWith(`fails: -${EIO}`)

function prepared(): Scene {
  const scene = new Scene()
  for (let i = 0; i < VICTIMS; i += 1) {
    scene.expect(create(`victim${i}`), "at first")
    scene.expect(write(`victim${i}`, 0, i === 0 ? 2000 : 40_000), "at first")
  }
  scene.server.pause()
  return scene
}

interface Result {
  readonly problems: readonly string[]
  readonly hit: boolean
  readonly refused: number
}

function play(plan: Plan, faults: Faults): Result {
  using scene = prepared()
  faults.arm(plan)
  for (const step of STEPS) {
    if (scene.play(step)) continue
    if (faults.fired === 0) scene.problems.push(`${step.name} fails while all is well`)
    refuse(scene, plan, faults)
    faults.clear()
    scene.expect(step, "when there is room again")
  }
  const hit = faults.fired > 0
  faults.clear()
  finish(scene)
  return { problems: scene.problems, hit, refused: scene.refused }
}

/** What must hold while calls go on failing. */
function refuse(scene: Scene, plan: Plan, faults: Faults): void {
  if (plan.mode === "all") return
  scene.isFailing = plan.errno === EIO
  scene.look("after the failure")
  for (let i = 0; i < VICTIMS && scene.model.has(`victim${i}`); i += 1)
    scene.expect(unlink(`victim${i}`), "on the full disk")
  if (plan.restart) restartFull(scene, faults)
  scene.look("on the full disk")
  scene.isFailing = false
}

/** A server that can't start for want of room says so, and starts when there is some. */
function restartFull(scene: Scene, faults: Faults): void {
  scene.server.kill()
  try {
    scene.server.start()
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
    faults.clear()
    scene.server.start()
  }
}

function finish(scene: Scene): void {
  scene.look("at the end")
  scene.server.store.commit()
  scene.server.restart()
  scene.look("after a restart")
  scene.server.settle()
  const { directory } = scene.server
  scene.problems.push(...brokenInvariants(directory))
  scene.server.restart()
  scene.server.store.commit()
  const { findings } = fsck({ directory, isOnline: true, repair: false })
  scene.problems.push(...findings.map((finding) => `fsck: ${JSON.stringify(finding)}`))
}

/** The start of a server with a batch to be done again: it fails and says why, or succeeds; the next one finds everything. */
function start(plan: Plan, faults: Faults): Result {
  using scene = prepared()
  for (const step of [create("noted"), write("noted", 0, 5000)]) scene.expect(step, "at first")
  faults.arm(plan)
  restartFull(scene, faults)
  const hit = faults.fired > 0
  faults.clear()
  finish(scene)
  return { problems: scene.problems, hit, refused: 0 }
}

/** How many calls there are that could fail. */
function callsOf(faults: Faults): number {
  using scene = prepared()
  faults.count()
  const before = faults.seen
  for (const step of STEPS) scene.expect(step, "while all is well")
  const calls = faults.seen - before
  faults.clear()
  finish(scene)
  if (scene.problems.length > 0) throw new Error(scene.problems.join("\n"))
  return calls
}

/** More than a start makes. */
const STARTING_CALLS = 40

function* plans(calls: number, modes: readonly string[], every: number, first: number): Generator<Plan> {
  for (const [index, text] of modes.entries()) {
    const [mode = "", name = "", restart] = text.split(":")
    const errno = ERRNOS[name] ?? ENOSPC
    const plan = { mode: mode as Plan["mode"], errno, restart: restart === "restart" }
    for (let after = first + index - STARTING_CALLS; after < calls; after += every) yield { ...plan, after }
  }
}

function main(): void {
  const [modes = "full:ENOSPC", every = "1", first = "0"] = process.argv.slice(2)
  using faults = new Faults(process.env["FAULTS_CONTROL"] ?? "", false)
  const broken: string[] = []
  let [played, hit, refused] = [0, 0, 0]
  for (const plan of plans(callsOf(faults), modes.split(","), Number(every), Number(first))) {
    const result = plan.after < 0 ? start({ ...plan, after: -1 - plan.after }, faults) : play(plan, faults)
    played += 1
    hit += result.hit ? 1 : 0
    refused += result.refused
    broken.push(...result.problems.map((problem) => `${JSON.stringify(plan)}: ${problem}`))
  }
  console.log(JSON.stringify({ played, hit, refused, broken } satisfies Report))
}

main()
