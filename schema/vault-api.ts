/**
 * What the vault's socket takes (docs/VAULT.md): one JSON object a message. Values of secrets are never in it: they go through
 * descriptors that are passed along.
 */
import { z } from "./zod.ts"
import { Endpoint } from "./endpoint.ts"
import { MANIFEST_KINDS } from "./signed-manifest.ts"
import { TOOL_NAME } from "./tool.ts"

export const VAULT_SOCKET = "vault.sock"

const name = z.string().max(255)
const number = z.int().nonnegative()
/** Places in the list of descriptors that came with the message. */
const descriptor = z.int().nonnegative().max(15)
/** What a person has, read from a descriptor. */
const person = z.strictObject({ kind: z.union([z.literal(2), z.literal(3), z.literal(4)]), fd: descriptor })
export type PersonText = z.infer<typeof person>

/** Of a control group; no slash at its end. */
const cgroup = z
  .string()
  .max(4096)
  .regex(/^\/(.*[^/])?$/)
const toolName = z.string().regex(TOOL_NAME)
const hash = z.string().regex(/^[0-9a-f]{64}$/)

const metadata = {
  description: z.string().max(4096).optional(),
  tags: z.array(z.string().max(255)).max(64).optional(),
  expires: number.optional(),
  rotateDays: number.max(36_500).optional(),
  keep: number.max(100).optional(),
}
/** Secrets that open slots of encrypted trees, named by the slot's salt (`vaultNameOf`). */
export const TREE_NAME = /^tree-[0-9a-f]{32}$/
const treeName = z.string().regex(TREE_NAME)

/** Variables that say what code is loaded, or how a shell reads its script: none of them gets a secret. */
export const RESERVED_VARIABLES =
  /^(LD_.*|PATH|IFS|ENV|BASH_.*|SHELLOPTS|PS4|NODE_OPTIONS|PYTHON.*|PERL.*|RUBY.*|GCONV_PATH)$/

const signKind = z.enum(["ed25519", "ecdsa-p256", "hmac-sha256", "jwt", "aws-sigv4", "ssh", "sshsig"])
/** REGION/SERVICE */
const word = z.string().regex(/^[a-z0-9*-]{1,63}\/[a-z0-9*-]{1,63}$/)
const awsWord = z.string().regex(/^[a-z0-9-]{1,63}$/)

/** What the proxy is asked for, by whom. */
const wanted = {
  subject: z.strictObject({
    ...{ uid: number, pid: number, program: z.string().max(4096).optional() },
    ...{ hash: hash.optional(), cgroup: z.string().max(4096).optional() },
  }),
  provider: z.string().max(8192).optional(),
  host: z.string().max(300).optional(),
  method: z.string().max(16),
  path: z.string().max(8192),
}

/** Values in one import, and bytes of it: what a pipe can be made to hold by everybody (pipe(7)). */
export const MOST_IMPORTED = 1000
export const MOST_IMPORT_BYTES = 1024 * 1024

/** Bytes that are looked through for secrets at once. */
export const MOST_SCAN_BYTES = 16 * 1024 * 1024
/** redact: shown without it · block: not shown · alert: shown, and written down */
export const LEAK_ACTIONS = ["redact", "block", "alert"] as const
export type LeakAction = (typeof LEAK_ACTIONS)[number]

export const ImportList = z.strictObject({
  secrets: z
    .array(
      z.strictObject({
        ...{ name, bytes: number, description: z.string().max(1024).optional() },
        /** Where the vault has another value; without it nothing at all is stored then. */
        otherwise: z.enum(["replace", "keep"]).optional(),
      }),
    )
    .max(MOST_IMPORTED),
})
export type ImportList = z.output<typeof ImportList>

export const VAULT_PARAMS = {
  status: z.strictObject({}),
  lock: z.strictObject({}),
  put: z.strictObject({
    ...{ name, fd: descriptor, must: z.enum(["exist", "be new"]).optional() },
    ...{ canary: z.literal(true).optional(), ...metadata },
    /** A key: the answer has the HMAC-SHA256 of what was stored, as it is when it is read back. */
    echo: hash.optional(),
  }),
  describe: z.strictObject({ name, ...metadata }),
  get: z.strictObject({ name, version: number.optional(), fd: descriptor, proof: person.optional() }),
  list: z.strictObject({}),
  history: z.strictObject({ name }),
  rm: z.strictObject({ name }),
  destroy: z.strictObject({ name, version: number.optional() }),
  rotate: z.strictObject({ pin: descriptor.optional() }),
  audit: z.strictObject({ since: number.optional(), name: name.optional(), uid: number.optional() }),
  "audit.verify": z.strictObject({ seq: number.optional(), mac: hash.optional() }),
  "audit.export": z.strictObject({ after: number }),
  "audit.prune": z.strictObject({ proof: person, before: number }),
  "protector.list": z.strictObject({}),
  "protector.add": z.strictObject({ proof: person, person, kdf: z.enum(["argon2id", "pbkdf2"]).optional() }),
  "protector.add-tpm": z.strictObject({
    proof: person,
    tcti: z.string().max(255),
    pcrs: z.array(z.int().nonnegative().max(23)).max(24),
    pin: descriptor.optional(),
  }),
  "protector.remove": z.strictObject({ proof: person, number }),
  grant: z.strictObject({
    proof: person,
    name,
    verb: z.enum(["exec", "inject", "sign", "reveal"]),
    uid: number.optional(),
    caller: hash.optional(),
    cgroup: cgroup.optional(),
    program: hash.optional(),
    /** exec: a tool of ClawFS gets the value (docs/TOOLS.md), and nothing else does. */
    tool: toolName.optional(),
    args: z.array(z.string().max(4096)).max(64).optional(),
    sign: z
      .strictObject({
        kinds: z.array(signKind).min(1).max(16).optional(),
        scopes: z.array(word).min(1).max(64).optional(),
        audience: z.array(z.string().min(1).max(255)).min(1).max(64).optional(),
        lifetime: number.optional(),
      })
      .optional(),
    endpoint: Endpoint.optional(),
    uses: number.optional(),
    until: number,
  }),
  grants: z.strictObject({}),
  export: z.strictObject({
    ...{ proof: person, passphrase: descriptor, out: descriptor },
    names: z.array(name).max(10_000).optional(),
  }),
  import: z.strictObject({ passphrase: descriptor, from: descriptor, replaces: z.boolean() }),
  "import.values": z.strictObject({
    /** A pipe with an `ImportList` as a line of JSON, then the values one behind the other. */
    from: descriptor,
    /** Only says what is there. */
    preview: z.boolean(),
  }),
  /** Both are files in memory: `out` gets what may be shown, if that is something else. */
  scan: z.strictObject({
    ...{ from: descriptor, out: descriptor },
    ...{ channel: z.enum(["mcp", "file"]), action: z.enum(LEAK_ACTIONS) },
    /** file: which bytes are new, what has none of them does not count; of which file, and who writes, as the server knows it. */
    written: z.strictObject({ from: number, to: number, ino: number, uid: number, pid: number }).optional(),
  }),
  exec: z.strictObject({
    program: z.string().min(1).max(4096).startsWith("/"),
    args: z.array(z.string().max(32_768)).max(1024),
    uses: z
      .array(
        z.strictObject({
          name,
          variable: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/),
          as: z.enum(["fd", "env"]),
        }),
      )
      .min(1)
      .max(6),
    environment: z.array(z.string().max(4096)).max(64),
    directory: z.string().min(1).max(4096).startsWith("/"),
    stdin: descriptor,
    stdout: descriptor,
    stderr: descriptor,
  }),
  "tool.exec": z.strictObject({
    /** Who has called the tool, as the runner knows it. */
    subject: z.strictObject({ uid: number, pid: number }),
    tool: toolName,
    /** SHA-256 of its file. */
    program: hash,
    args: z.array(z.string().max(32_768)).max(1024),
    /** fd: a pipe that its value is written to. */
    uses: z
      .array(z.strictObject({ name, fd: descriptor }))
      .min(1)
      .max(6),
    /** What the tool writes, and where it goes behind the leak filter. */
    output: z.array(z.strictObject({ from: descriptor, to: descriptor })).max(2),
    /** A pipe that gets a `ToolSecretsReport` when all output is passed on, and is closed. */
    report: descriptor,
  }),
  revoke: z.strictObject({ id: number, proof: person.optional() }),
  generate: z.strictObject({ name, kind: z.enum(["ed25519", "ecdsa-p256"]), ...metadata }),
  sign: z.strictObject({
    name,
    kind: signKind,
    /** What is signed: bytes, or the claims of a token. */
    fd: descriptor,
    algorithm: z.enum(["HS256", "ES256", "EdDSA"]).optional(),
    keyId: z.string().max(255).optional(),
    aws: z
      .strictObject({
        method: z.string().regex(/^[A-Z]{1,16}$/),
        url: z.string().max(8192),
        headers: z.record(z.string().max(255), z.string().max(4096)).optional(),
        payloadHash: z
          .string()
          .regex(/^([0-9a-f]{64}|UNSIGNED-PAYLOAD)$/)
          .optional(),
        region: awsWord,
        service: awsWord,
      })
      .optional(),
    /** ssh, sshsig: the key that is asked for, as SSH writes it, base64. */
    publicKey: z.string().max(1024).optional(),
  }),
  "public-key": z.strictObject({ name }),
  "proxy.start": z.strictObject({ port: number.max(65_535).optional() }),
  "proxy.stop": z.strictObject({}),
  "proxy.token": z.strictObject({}),
  // For the proxy's process alone.
  "inject.look": z.strictObject({ token: z.string().max(255).optional() }),
  "inject.plan": z.strictObject(wanted),
  inject: z.strictObject({ ...wanted, grant: number, address: z.string().max(64), fd: descriptor }),
  "inject.decoys": z.strictObject({ fd: descriptor }),
  "inject.tried": z.strictObject({
    ...wanted,
    names: z.array(z.string().max(255)).max(1000),
    where: z.enum(["request", "answer"]),
  }),
  "inject.leak": z.strictObject({ ...wanted, grant: number, count: number }),
  mount: z.strictObject({
    directory: z.string().min(1).max(4096).startsWith("/"),
    /** Seconds without a sign of life after which the mount is taken away. */
    patience: z.int().min(1).max(3600).optional(),
  }),
  unmount: z.strictObject({}),
  "manifest.sign": z.strictObject({
    proof: person,
    kind: z.enum(MANIFEST_KINDS),
    directory: z.string().min(1).max(4096).startsWith("/"),
    entries: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  }),
  "tree.new": z.strictObject({ name: treeName, description: z.string().max(4096), fd: descriptor }),
  "tree.key": z.strictObject({ name: treeName, fd: descriptor }),
} as const

/** What the filter has taken out of a tool's output; one line of JSON. */
export interface ToolSecretsReport {
  readonly leaks: number
  readonly leaked: readonly string[]
}

export type VaultMethod = keyof typeof VAULT_PARAMS
export type VaultParams<M extends VaultMethod> = z.output<(typeof VAULT_PARAMS)[M]>

export const VaultRequest = z.strictObject({
  method: z.string().max(64),
  params: z.record(z.string(), z.unknown()),
})
