/** A vault in a directory of its own, used through the built program; locked and removed afterwards. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { exec, type Finished } from "../helpers/exec.ts"
import { bin } from "./harness.ts"

export const PASSPHRASE = "correct horse battery staple"
const NOBODY = 65_534

export interface Asking {
  readonly input?: string
  /** Run as this user. */
  readonly uid?: number
  readonly env?: Readonly<Record<string, string>>
}

export class VaultPlace implements AsyncDisposable {
  readonly base = mkdtempSync(join(tmpdir(), "clawfs-cli-vault-"))
  readonly directory = join(this.base, "vault")
  readonly passphrase = ["--passphrase-file", join(this.base, "passphrase")]
  readonly wrong = ["--passphrase-file", join(this.base, "wrong")]

  constructor() {
    // Others may pass through, as in /var/lib.
    chmodSync(this.base, 0o711)
    writeFileSync(join(this.base, "passphrase"), `${PASSPHRASE}\n`, { mode: 0o600 })
    writeFileSync(join(this.base, "wrong"), "wrong\n", { mode: 0o600 })
  }

  static async make(...options: string[]): Promise<VaultPlace> {
    const place = new VaultPlace()
    const made = await place.run([
      "init",
      ...place.passphrase,
      "--kdf",
      "pbkdf2",
      ...(options.length === 0 ? ["--no-tpm"] : options),
    ])
    if (made.code !== 0) throw new Error(made.stderr)
    return place
  }

  /** `clawfs vault ...` */
  run(args: readonly string[], { input, uid, env = {} }: Asking = {}): Promise<Finished> {
    const words = ["env", `CLAWFS_VAULT=${this.directory}`, process.execPath, bin, "vault", ...args]
    const who = uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"]
    const [first = "", ...rest] = [...who, ...words]
    return exec(first, rest, {
      timeoutSeconds: 60,
      env: { ...env },
      ...(input === undefined ? {} : { input }),
    })
  }

  /** Unlocked, by the passphrase. */
  async unlock(): Promise<void> {
    const { code, stderr } = await this.run(["unlock", ...this.passphrase])
    if (code !== 0) throw new Error(stderr)
  }

  async pid(): Promise<number> {
    const { stdout } = await this.run(["status", "--json"])
    return (JSON.parse(stdout) as { pid: number }).pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["lock"])
    rmSync(this.base, { recursive: true, force: true })
  }
}

export const asNobody: Asking = { uid: NOBODY }
