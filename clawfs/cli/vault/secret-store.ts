/** The vault as a migration sees it: through its socket, as its owner. */
import type { Kept, SecretStore } from "../../migrate/secrets/transfer.ts"
import { Attachments, callVault } from "./client.ts"

interface Listed {
  readonly name: string
  readonly latest: number
  readonly removed: number
  readonly description: string
}

/** Its methods throw `Fault("locked")` while nothing has the vault unlocked. */
export function vaultStore(directory: string): SecretStore {
  return {
    list: () => {
      const listed = callVault(directory, "list") as Listed[]
      const present = listed.filter(({ removed }) => removed === 0)
      return new Map(present.map(({ name, ...rest }): [string, Kept] => [name, rest]))
    },
    put: (name, value, options, key) => {
      using attached = new Attachments()
      const params = { name, fd: attached.give(value), ...options, echo: key.toString("hex") }
      const answer = callVault(directory, "put", params, attached.fds) as { version: number; echo: string }
      return { version: answer.version, echo: Buffer.from(answer.echo, "hex") }
    },
    remove: (name) => void callVault(directory, "rm", { name }),
  }
}
