/** Which number stands for which name, as long as the mount lives: nothing is stored, so numbers are given as names are met. */
import { ROOT_NODE, type NodeId } from "../../clawfs/core/brand.ts"
import { DOCUMENTS, type DocumentName } from "./vault-view.ts"

export type Node =
  | { readonly kind: "root" | "secrets" | "backups" }
  | { readonly kind: "document"; readonly name: DocumentName }
  /** `value`: `secrets/NAME`; `sealed`: `secrets/NAME.enc` */
  | { readonly kind: "value" | "sealed"; readonly name: string }

export const SECRETS_NODE = 2 as NodeId
export const BACKUPS_NODE = 3 as NodeId
export const SECRETS = "secrets"
export const BACKUPS = "identity-backups"
export const SEALED = ".enc"
const FIRST_DOCUMENT = 16
const FIRST_SECRET = 1024

export class Nodes {
  readonly #nodes = new Map<NodeId, Node>([
    [ROOT_NODE, { kind: "root" }],
    [SECRETS_NODE, { kind: "secrets" }],
    [BACKUPS_NODE, { kind: "backups" }],
    ...DOCUMENTS.map((name, at): [NodeId, Node] => [
      (FIRST_DOCUMENT + at) as NodeId,
      { kind: "document", name },
    ]),
  ])
  readonly #numbers = new Map<string, NodeId>()

  get(number: NodeId): Node | undefined {
    return this.#nodes.get(number)
  }

  /** The number of a document. */
  static document(name: DocumentName): NodeId {
    return (FIRST_DOCUMENT + DOCUMENTS.indexOf(name)) as NodeId
  }

  /** The number of `secrets/NAME` or of `secrets/NAME.enc`. */
  secret(kind: "value" | "sealed", name: string): NodeId {
    const key = kind === "value" ? name : name + SEALED
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const number = (FIRST_SECRET + this.#numbers.size) as NodeId
    this.#numbers.set(key, number)
    this.#nodes.set(number, { kind, name })
    return number
  }
}
