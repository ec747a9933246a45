/**
 * Signs with secrets. The grant is checked, and the use written down, before anything is signed; the key is in secret memory
 * during the call alone.
 */
import { createHash } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { signWith } from "../../clawfs/sys/signatures.ts"
import { hmac } from "../../keyring/primitives.ts"
import type { VaultParams } from "../../schema/vault-api.ts"
import { allowsSubject, isFrozen, type Grants, type SignUse } from "../grants.ts"
import type { Subject } from "../audit.ts"
import { signAws } from "../sign/aws.ts"
import { compactJws, jwtHeader, readClaims } from "../sign/jwt.ts"
import type { SignKind } from "../sign/kinds.ts"
import { MOST_PKCS8_BYTES, newPrivateKey, privateKeyIn, type PrivateKey } from "../sign/private-key.ts"
import { readSshData, signForSsh, sshPublicKey } from "../sign/ssh.ts"
import { MOST_VALUE_BYTES, type Vault } from "../vault.ts"
import { readAllInto } from "./descriptors.ts"

export const MOST_SIGNED_BYTES = 1024 * 1024
/** A key in the form that people store, and what signing adds to it. */
const ROOM = MOST_VALUE_BYTES

type Request = VaultParams<"sign">

/** What is signed, how it is limited, and how. */
interface Plan {
  readonly use: SignUse
  /** For the audit. */
  readonly detail: Readonly<Record<string, unknown>>
  readonly sign: (value: Buffer, room: Buffer) => object
}

export class Signer {
  readonly #vault: Vault
  readonly #grants: Grants

  constructor(vault: Vault, grants: Grants) {
    this.#vault = vault
    this.#grants = grants
  }

  /** Signs what `fd` gives. Throws `Fault("denied")` without a grant, "invalid" for what can't be signed. */
  sign(request: Request, fd: number, subject: Subject): object {
    const message = Buffer.alloc(MOST_SIGNED_BYTES + 1)
    const length = readAllInto(fd, message, "what is to be signed")
    const plan = this.#plan(request, message.subarray(0, length))
    const { name } = request
    const { use, detail } = plan
    return this.#vault.use(
      subject,
      "sign",
      { name, detail: { kind: use.kind, ...detail } },
      (value) => this.#vault.values.borrow(ROOM, (room) => plan.sign(value, room)),
      ({ id }) =>
        this.#grants.take(this.#vault.keys, { secret: id, verb: "sign", subject, sign: use }, Date.now()),
    )
  }

  #plan(request: Request, message: Buffer): Plan {
    const { kind } = request
    switch (kind) {
      case "jwt":
        return jwtPlan(request, message)
      case "aws-sigv4":
        return awsPlan(request)
      case "ssh":
      case "sshsig":
        return sshPlan(request, message)
      case "hmac-sha256":
        return plainPlan(kind, message, (value) => hmac(value, message))
      case "ed25519":
      case "ecdsa-p256":
        return plainPlan(kind, message, (value, room) => {
          const { curve, secret } = privateKeyIn(value, room)
          if (curve !== (kind === "ed25519" ? "ed25519" : "p256"))
            throw new Fault("invalid", `the secret is no key of ${kind}`)
          return signWith(curve, secret, message)
        })
    }
  }

  /** The public key of a secret, for who may sign with it. */
  publicKey(name: string, subject: Subject, isOwner: boolean): object {
    return this.#vault.use(
      subject,
      "public-key",
      { name },
      (value) =>
        this.#vault.values.borrow(ROOM, (room) => {
          const key = privateKeyIn(value, room)
          return { curve: key.curve, ssh: sshPublicKey(key).toString("base64") }
        }),
      ({ id }) => {
        if (isOwner) return
        const all = this.#grants.all(this.#vault.keys)
        const granted =
          !isFrozen(all, subject) &&
          all.some(
            (grant) =>
              grant.secret === id.toString("hex") && allowsSubject(grant, "sign", subject, Date.now()),
          )
        if (!granted) throw new Fault("denied", "no grant allows this")
      },
    )
  }

  /** Makes a key that was never outside of the vault, as the secret's next version. */
  generate({ name, kind, ...options }: VaultParams<"generate">, subject: Subject): object {
    return this.#vault.values.borrow(MOST_PKCS8_BYTES, (room) => {
      const value = newPrivateKey(kind === "ed25519" ? "ed25519" : "p256", room)
      const version = this.#vault.put(subject, name, value, options)
      const key: PrivateKey = privateKeyIn(value, value)
      return { version, curve: key.curve, ssh: sshPublicKey(key).toString("base64") }
    })
  }
}

function sha256(message: Buffer): string {
  return createHash("sha256").update(message).digest("hex")
}

function plainPlan(kind: SignKind, message: Buffer, sign: (value: Buffer, room: Buffer) => Buffer): Plan {
  return {
    use: { kind },
    detail: { sha256: sha256(message) },
    sign: (value, room) => ({ signature: sign(value, room).toString("base64") }),
  }
}

function jwtPlan({ algorithm, keyId }: Request, message: Buffer): Plan {
  if (algorithm === undefined) throw new Fault("invalid", "a token needs an algorithm")
  const { text, audience, expires } = readClaims(message)
  const lifetime = expires === undefined ? undefined : expires - Date.now() / 1000
  const words = { header: jwtHeader(algorithm, keyId), payload: text }
  return {
    use: { kind: "jwt", audience, lifetime },
    detail: { sha256: sha256(Buffer.from(text)) },
    sign: (value, room) => ({ token: compactJws(algorithm, words, value, room) }),
  }
}

function awsPlan({ aws }: Request): Plan {
  if (aws === undefined) throw new Fault("invalid", "there is no request to be signed")
  const scope = `${aws.region}/${aws.service}`
  return {
    use: { kind: "aws-sigv4", scope },
    detail: { scope, method: aws.method },
    sign: (value, room) => ({ headers: signAws(aws, value, room, Date.now()) }),
  }
}

function sshPlan({ kind, publicKey }: Request, data: Buffer): Plan {
  const asked = Buffer.from(publicKey ?? "", "base64")
  const found = readSshData(data, asked)
  if (found.kind !== kind)
    throw new Fault("denied", "this is neither a login by SSH nor a signature of a file")
  return {
    use: { kind },
    detail: found.user === undefined ? { sha256: sha256(data) } : { user: found.user.slice(0, 64) },
    sign: (value, room) => {
      const key = privateKeyIn(value, room)
      if (!sshPublicKey(key).equals(asked)) throw new Fault("not-found", "the secret is another key now")
      return { signature: signForSsh(key, data).toString("base64") }
    },
  }
}
