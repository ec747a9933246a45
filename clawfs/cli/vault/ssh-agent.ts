/**
 * The SSH agent protocol (draft-ietf-sshm-ssh-agent), as far as an agent needs it whose keys are elsewhere: listing them, and
 * signing. Everything else is refused.
 */

export const MOST_AGENT_BYTES = 256 * 1024
const FAILURE = 5
const REQUEST_IDENTITIES = 11
const IDENTITIES_ANSWER = 12
const SIGN_REQUEST = 13
const SIGN_RESPONSE = 14

export interface AgentKey {
  readonly name: string
  readonly blob: Buffer
}

/** Signs `data` with a key; undefined: not this, or not now. */
export type AgentSigner = (key: AgentKey, data: Buffer) => Buffer | undefined

/** One connection's bytes in, answers out. */
export class AgentSession {
  readonly #keys: readonly AgentKey[]
  readonly #sign: AgentSigner
  #held: Buffer = Buffer.alloc(0)

  constructor(keys: readonly AgentKey[], sign: AgentSigner) {
    this.#keys = keys
    this.#sign = sign
  }

  /** The answers to what is complete now; undefined: what comes is no message of an agent, and the connection is to be closed. */
  push(chunk: Buffer): Buffer | undefined {
    const bytes = Buffer.concat([this.#held, chunk])
    const answers: Buffer[] = []
    let at = 0
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at)
      if (length === 0 || length > MOST_AGENT_BYTES) return undefined
      if (bytes.length - at - 4 < length) break
      answers.push(framed(this.#answer(bytes.subarray(at + 4, at + 4 + length))))
      at += 4 + length
    }
    this.#held = Buffer.from(bytes.subarray(at))
    return Buffer.concat(answers)
  }

  #answer(message: Buffer): Buffer {
    if (message[0] === REQUEST_IDENTITIES && message.length === 1) return this.#identities()
    const signature = message[0] === SIGN_REQUEST ? this.#signed(message) : undefined
    if (signature === undefined) return Buffer.from([FAILURE])
    return Buffer.concat([Buffer.from([SIGN_RESPONSE]), framed(signature)])
  }

  #identities(): Buffer {
    const count = Buffer.alloc(5)
    count[0] = IDENTITIES_ANSWER
    count.writeUInt32BE(this.#keys.length, 1)
    const keys = this.#keys.flatMap(({ blob, name }) => [framed(blob), framed(Buffer.from(name))])
    return Buffer.concat([count, ...keys])
  }

  /** The flags at the end ask for other hashes of RSA. */
  #signed(message: Buffer): Buffer | undefined {
    const blob = stringAt(message, 1)
    const data = blob === undefined ? undefined : stringAt(message, 5 + blob.length)
    if (blob === undefined || data === undefined || message.length !== 13 + blob.length + data.length)
      return undefined
    const key = this.#keys.find((each) => each.blob.equals(blob))
    return key === undefined ? undefined : this.#sign(key, data)
  }
}

function stringAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + 4 > bytes.length) return undefined
  const end = at + 4 + bytes.readUInt32BE(at)
  return end > bytes.length ? undefined : bytes.subarray(at + 4, end)
}

/** Behind its length. */
function framed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
