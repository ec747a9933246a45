/** Signing through the vault's methods: grants and their limits, what the audit says, and what is not signed. */
import { closeSync, openSync, rmSync, writeFileSync } from "node:fs"
import { createHash, createPublicKey, generateKeyPairSync, verify } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { sshString } from "../../../vault/sign/ssh.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })
const AWS = { method: "GET", url: "https://iam.amazonaws.com/", region: "us-east-1", service: "iam" }

interface Row {
  readonly event: string
  readonly outcome: string
  readonly detail: Readonly<Record<string, unknown>>
}

function rowsOf(vault: TestMethods, event: string): Row[] {
  return (vault.call(OWNER, "audit", {}) as Row[]).filter((row) => row.event === event)
}

describe("a grant to sign", () => {
  test("is needed by everybody, is for its kinds alone, and counts", () => {
    using vault = new TestMethods()
    vault.put("mac", "k".repeat(32))
    const sign = (kind: string, subject = AGENT, more: object = {}): unknown =>
      vault.call(subject, "sign", { name: "mac", kind, fd: 0, ...more }, [Buffer.from("{}")])
    for (const subject of [AGENT, OWNER]) expect(() => sign("hmac-sha256", subject)).toThrow(fault("denied"))
    vault.grant("mac", "exec")
    vault.grant("mac", "reveal", { uid: 7 })
    expect(() => sign("hmac-sha256")).toThrow(fault("denied"))
    vault.grant("mac", "sign", { uid: 1001, sign: { kinds: ["hmac-sha256"] }, uses: 2 })
    expect(() => sign("hmac-sha256", { ...AGENT, uid: 1002 })).toThrow(fault("denied"))
    expect(() => sign("jwt", AGENT, { algorithm: "HS256" })).toThrow(fault("denied"))
    expect(JSON.stringify(sign("hmac-sha256"))).toMatch(/^\{"signature":"[\w+/]{43}="\}$/)
    sign("hmac-sha256")
    expect(() => sign("hmac-sha256")).toThrow(fault("denied"))
    // Who asks for what is not there learns the same.
    const params = { name: "nothing", kind: "hmac-sha256", fd: 0 }
    expect(() => vault.call(AGENT, "sign", params, [Buffer.from("{}")])).toThrow("no grant allows this")
    const rows = rowsOf(vault, "sign")
    const sha256 = createHash("sha256").update("{}").digest("hex")
    expect(rows.filter(({ outcome }) => outcome === "done").map(({ detail }) => detail)).toEqual([
      { kind: "hmac-sha256", sha256 },
      { kind: "hmac-sha256", sha256 },
    ])
    expect(rows.filter(({ outcome }) => outcome !== "done")).toHaveLength(7)
  })

  test("limits tokens by whom they are for and how long", () => {
    using vault = new TestMethods()
    vault.put("key", "k".repeat(32))
    vault.grant("key", "sign", { sign: { audience: ["a", "b"], lifetime: 600 } })
    const exp = Math.floor(Date.now() / 1000) + 300
    const jwt = (claims: object): unknown =>
      vault.call(AGENT, "sign", { name: "key", kind: "jwt", algorithm: "HS256", fd: 0 }, [
        Buffer.from(JSON.stringify(claims)),
      ])
    for (const claims of [
      {},
      { aud: "a" },
      { exp },
      { aud: ["a", "c"], exp },
      { aud: [], exp },
      { aud: "a", exp: exp + 9000 },
    ])
      expect(() => jwt(claims), JSON.stringify(claims)).toThrow(fault("denied"))
    for (const claims of [
      { aud: "a", exp },
      { aud: ["b", "a"], exp },
      { aud: "a", exp: 0 },
    ])
      jwt(claims)
  })

  test("limits requests to AWS by region and service", () => {
    using vault = new TestMethods()
    vault.put("aws", "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    vault.grant("aws", "sign", { sign: { kinds: ["aws-sigv4"], scopes: ["us-east-1/iam", "*/s3"] } })
    const sign = (aws: object): unknown =>
      vault.call(AGENT, "sign", { name: "aws", kind: "aws-sigv4", fd: 0, aws: { ...AWS, ...aws } }, [
        Buffer.alloc(0),
      ])
    for (const aws of [{ region: "eu-west-1" }, { service: "sts" }, { service: "s3x" }])
      expect(() => sign(aws)).toThrow(fault("denied"))
    for (const aws of [{}, { region: "eu-west-1", service: "s3" }])
      expect(JSON.stringify(sign(aws))).toContain("AKIDEXAMPLE")
    expect(() => sign({ url: "http://plain/" })).toThrow(fault("invalid"))
  })
})

describe("SSH", () => {
  const words = (blob: Buffer, method = "publickey"): Buffer =>
    Buffer.concat([
      ...[sshString("s".repeat(32)), Buffer.from([50]), sshString("git"), sshString("ssh-connection")],
      ...[sshString(method), Buffer.from([1]), sshString("ssh-ed25519"), sshString(blob)],
    ])

  test("a login is signed and is told apart from everything else", () => {
    using vault = new TestMethods()
    const made = vault.call(OWNER, "generate", { name: "id", kind: "ed25519" }) as { ssh: string }
    const blob = Buffer.from(made.ssh, "base64")
    expect(() => vault.call(AGENT, "public-key", { name: "id" })).toThrow("no grant allows this")
    vault.grant("id", "sign", { sign: { kinds: ["ssh"] }, uid: 1001 })
    expect(vault.call(AGENT, "public-key", { name: "id" })).toEqual({ curve: "ed25519", ssh: made.ssh })
    const sign = (data: Buffer, kind = "ssh", publicKey = made.ssh): { signature: string } =>
      vault.call(AGENT, "sign", { name: "id", kind, fd: 0, publicKey }, [data]) as { signature: string }
    const hostbound = Buffer.concat([
      words(blob, "publickey-hostbound-v00@openssh.com"),
      sshString("host key"),
    ])
    for (const login of [words(blob), hostbound]) {
      const signature = Buffer.from(sign(login).signature, "base64")
      const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), blob.subarray(-32)])
      const key = createPublicKey({ key: spki, format: "der", type: "spki" })
      expect(verify(null, login, key, signature.subarray(-64))).toBe(true)
    }
    const other = Buffer.concat([sshString("ssh-ed25519"), sshString(Buffer.alloc(32, 7))])
    const nots = [
      Buffer.alloc(0),
      Buffer.from("hello"),
      words(other),
      words(blob, "password"),
      Buffer.concat([words(blob), Buffer.from([0])]),
      words(blob).subarray(0, -1),
      hostbound.subarray(0, -1),
      Buffer.from(words(blob)).fill(0xff, 0, 4),
    ]
    for (const data of nots) expect(() => sign(data)).toThrow(fault("denied"))
    const file = Buffer.concat([Buffer.from("SSHSIG"), sshString("file")])
    for (const kind of ["ssh", "sshsig"]) expect(() => sign(file, kind)).toThrow(fault("denied"))
    vault.grant("id", "sign", { sign: { kinds: ["sshsig"] } })
    expect(() => sign(words(blob), "sshsig")).toThrow(fault("denied"))
    sign(file, "sshsig")
    // The key was exchanged since the agent looked.
    vault.call(OWNER, "generate", { name: "id", kind: "ed25519" })
    expect(() => sign(words(blob))).toThrow(fault("denied"))
    expect(rowsOf(vault, "sign")[0]?.detail).toEqual({ kind: "ssh", user: "git" })
  })

  test("signatures of P-256 are numbers without zeroes before them", () => {
    using vault = new TestMethods()
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
    vault.put("id", privateKey.export({ format: "pem", type: "sec1" }))
    vault.grant("id", "sign")
    const { ssh } = vault.call(OWNER, "public-key", { name: "id" }) as { ssh: string }
    const data = Buffer.concat([Buffer.from("SSHSIG"), sshString("file")])
    for (let i = 0; i < 40; i += 1) {
      const params = { name: "id", kind: "sshsig", fd: 0, publicKey: ssh }
      const { signature } = vault.call(AGENT, "sign", params, [data]) as { signature: string }
      const [name, rest] = stringsIn(Buffer.from(signature, "base64"))
      expect(String(name)).toBe("ecdsa-sha2-nistp256")
      const numbers = stringsIn(rest ?? Buffer.alloc(0))
      for (const number of numbers) expect((number[0] ?? 0) > 0 || (number[1] ?? 0) > 0x7f).toBe(true)
      const fixed = numbers.map((number) => number.toString("hex").slice(-64).padStart(64, "0")).join("")
      const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const
      expect(verify("sha256", data, key, Buffer.from(fixed, "hex"))).toBe(true)
    }
  })
})

function stringsIn(bytes: Buffer): Buffer[] {
  const strings: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at)
    strings.push(bytes.subarray(at + 4, end))
    at = end
  }
  return strings
}

test("what is read from or written to is a pipe or sealed memory: a file can make the vault wait", () => {
  using vault = new TestMethods()
  vault.put("mac", "k".repeat(32))
  vault.grant("mac", "sign")
  vault.grant("mac", "reveal")
  const path = join(tmpdir(), `clawfs-descriptor-${process.pid}`)
  writeFileSync(path, "x")
  const fd = openSync(path, "r+")
  try {
    const sign = { name: "mac", kind: "hmac-sha256", fd: 0 }
    expect(() => vault.callWith(AGENT, "sign", sign, [fd])).toThrow(fault("invalid"))
    expect(() => vault.callWith(AGENT, "get", { name: "mac", fd: 0 }, [fd])).toThrow(fault("invalid"))
    expect(vault.get(AGENT, "mac")).toBe("k".repeat(32))
  } finally {
    closeSync(fd)
    rmSync(path)
  }
})

test("every method's parameters that are no JSON of it are refused before anything is looked at", () => {
  using vault = new TestMethods()
  vault.put("mac", "k".repeat(32))
  for (const wrong of [
    { name: "mac", kind: "rsa", fd: 0 },
    { name: "mac", kind: "jwt", algorithm: "none", fd: 0 },
    { name: "mac", kind: "aws-sigv4", fd: 0, aws: { ...AWS, region: "us/east" } },
    { name: "mac", kind: "aws-sigv4", fd: 0, aws: { ...AWS, method: "GET\n" } },
    { name: "mac", kind: "ed25519", fd: 0, more: 1 },
  ])
    expect(() => vault.call(AGENT, "sign", wrong, [Buffer.alloc(0)])).toThrow(
      expect.objectContaining({ name: "ZodError" }),
    )
})
