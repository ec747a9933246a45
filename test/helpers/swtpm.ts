/** A TPM in software (package swtpm), with its state in a directory of its own; it goes with the test. */
import { spawn, type ChildProcess } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault } from "../../clawfs/core/fault.ts"
import { hasTss2 } from "../../clawfs/sys/tss2.ts"
import { Tpm } from "../../keyring/tpm.ts"
import { requirePrograms } from "./requirements.ts"

export function requireSwtpm(): string | undefined {
  return requirePrograms("swtpm") ?? (hasTss2() ? undefined : "the libraries of tpm2-tss are missing")
}

export class Swtpm implements AsyncDisposable {
  readonly directory: string
  #process: ChildProcess | undefined

  private constructor(directory: string) {
    this.directory = directory
  }

  static async start(): Promise<Swtpm> {
    const tpm = new Swtpm(mkdtempSync(join(tmpdir(), "clawfs-swtpm-")))
    await tpm.powerOn()
    return tpm
  }

  get socket(): string {
    return join(this.directory, "sock")
  }

  get tcti(): string {
    return `swtpm:path=${this.socket}`
  }

  /** Starts it, as after a boot: PCRs are zero, what is persistent is there. */
  async powerOn(): Promise<void> {
    const server = ["--server", `type=unixio,path=${this.socket},mode=0600`]
    const control = ["--ctrl", `type=unixio,path=${this.socket}.ctrl,mode=0600`]
    const state = ["--tpmstate", `dir=${this.directory}`]
    this.#process = spawn(
      "swtpm",
      ["socket", "--tpm2", ...state, ...server, ...control, "--flags", "not-need-init"],
      { stdio: "ignore" },
    )
    for (let tries = 0; !this.#answers(); tries += 1) {
      if (tries > 500) throw new Error("swtpm does not start")
      await sleep(10)
    }
  }

  /** Its socket is there before it listens, and it listens before it answers. */
  #answers(): boolean {
    if (!existsSync(this.socket)) return false
    try {
      using tpm = new Tpm(this.tcti)
      return tpm.pcrValues([0]).length === 1
    } catch (thrown) {
      if (thrown instanceof Fault) return false
      throw thrown
    }
  }

  async powerOff(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGTERM")
    await ended
    for (const path of [this.socket, `${this.socket}.ctrl`]) rmSync(path, { force: true })
  }

  async reboot(): Promise<void> {
    await this.powerOff()
    await this.powerOn()
  }

  /** As TPM2_Clear does, and more: a TPM that never was this one. */
  async replace(): Promise<void> {
    await this.powerOff()
    rmSync(join(this.directory, "tpm2-00.permall"), { force: true })
    await this.powerOn()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
