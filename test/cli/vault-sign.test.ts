/** `clawfs vault keygen`, `sign-with`, `ssh-agent`: signatures by keys that stay in the vault. */
import { spawn } from "node:child_process"
import { createPublicKey, verify } from "node:crypto"
import { once } from "node:events"
import { readFileSync, writeFileSync, statSync, existsSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, test } from "vitest"
import { exec } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { bin, requireBuild } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")
beforeEach((context) => skipIf(context, requireBuild()))

/** The point behind its name in a line for authorized_keys. */
function pointOf(line: string): Buffer {
  const blob = Buffer.from(line.split(" ")[1] ?? "", "base64")
  return blob.subarray(-65)
}

function p256Of(line: string): ReturnType<typeof createPublicKey> {
  const start = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex")
  return createPublicKey({ key: Buffer.concat([start, pointOf(line)]), format: "der", type: "spki" })
}

test("sign-with: signatures that other tools take, and one sentence for what can't be", async (context) => {
  skipIf(context, requirePrograms("openssl"))
  await using place = await VaultPlace.make()
  await place.unlock()
  const line = (await place.run(["keygen", "issuer", "--as", "ecdsa-p256"])).stdout
  expect(line).toMatch(/^ecdsa-sha2-nistp256 \S+ issuer\n$/)
  const limits = ["--as", "jwt,ecdsa-p256", "--audience", "here", "--lifetime", "10m", "--uses", "9"]
  await place.run(["grant", "issuer", "--verb", "sign", ...limits, ...place.passphrase])
  expect((await place.run(["grants"])).stdout).toContain(
    "jwt or ecdsa-p256, to here, at most 600 s, 9 uses left",
  )
  await place.run(["put", "mac"], { input: "k".repeat(32) })
  await place.run(["grant", "mac", "--verb", "sign", ...place.passphrase])
  const claims = { aud: "here", exp: Math.floor(Date.now() / 1000) + 300 }
  const jwt = await place.run(
    ["sign-with", "issuer", "--as", "jwt", "--algorithm", "ES256", "--key-id", "k1"],
    {
      input: JSON.stringify(claims),
    },
  )
  const [header = "", body = "", signature = ""] = jwt.stdout.trim().split(".")
  expect(Buffer.from(header, "base64url").toString()).toBe('{"alg":"ES256","typ":"JWT","kid":"k1"}')
  const key = { key: p256Of(line), dsaEncoding: "ieee-p1363" } as const
  expect(verify("sha256", Buffer.from(`${header}.${body}`), key, Buffer.from(signature, "base64url"))).toBe(
    true,
  )
  const message = "x".repeat(1_048_576)
  const mac = await place.run(["sign-with", "mac", "--as", "hmac-sha256", "--encoding", "hex"], {
    input: message,
  })
  const digest = ["dgst", "-sha256", "-hmac", "k".repeat(32)]
  const theirs = await exec("openssl", digest, { input: message, timeoutSeconds: 20 })
  expect(theirs.stdout.trim().split(" ").at(-1)).toBe(mac.stdout.trim())
  const wrong: [string[], string, number][] = [
    [["sign-with", "issuer", "--as", "jwt", "--algorithm", "ES256"], '{"aud":"there"}', 77],
    [["sign-with", "mac", "--as", "ed25519"], "x", 65],
    [["sign-with", "mac", "--as", "aws-sigv4"], "{", 65],
    [["sign-with", "mac", "--as", "hmac-sha256"], `${message}x`, 65],
    [["sign-with", "mac", "--as", "ssh"], "x", 64],
    [["sign-with", "mac"], "x", 64],
    [["sign-with", "mac", "--as", "hmac-sha256", "--encoding", "rot13"], "x", 64],
    [["keygen", "k", "--as", "rsa"], "", 64],
  ]
  for (const [args, input, code] of wrong) {
    const result = await place.run(args, { input })
    expect([result.code, result.stdout], args.join(" ")).toEqual([code, ""])
    expect(result.stderr).toMatch(/^clawfs: .*\n(hint: .*\n)?$/)
  }
})

describe("ssh-agent", () => {
  test("OpenSSH lists its keys, and signs files with them; the key is in no process but the vault's", async (context) => {
    skipIf(context, requireRoot(), requirePrograms("ssh-add", "ssh-keygen", "setpriv"))
    await using place = await VaultPlace.make()
    await place.unlock()
    const made = join(place.base, "id")
    for (const [type, name] of [
      ["ed25519", "own"],
      ["ecdsa", "curve"],
    ] as const) {
      await exec("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", `${made}-${name}`], { timeoutSeconds: 20 })
      await place.run(["put", name, "--raw"], { input: readFileSync(`${made}-${name}`, "utf8") })
      await place.run(["grant", name, "--verb", "sign", "--as", "sshsig", ...place.passphrase])
      const line = (await place.run(["public-key", name])).stdout.split(" ").slice(0, 2)
      expect(readFileSync(`${made}-${name}.pub`, "utf8").split(" ").slice(0, 2)).toEqual(line)
    }
    const socket = join(place.base, "agent.sock")
    const env = { CLAWFS_VAULT: place.directory }
    const agent = spawn(process.execPath, [bin, "vault", "ssh-agent", "own,curve", "--socket", socket], {
      env,
    })
    try {
      const [said] = (await once(agent.stdout, "data")) as [Buffer]
      expect(said.toString()).toBe(`SSH_AUTH_SOCK=${socket}; export SSH_AUTH_SOCK;\n`)
      expect(statSync(socket).mode & 0o777).toBe(0o600)
      const ssh = (program: string, args: string[], input = ""): ReturnType<typeof exec> =>
        exec(program, args, { timeoutSeconds: 20, env: { SSH_AUTH_SOCK: socket }, input })
      expect((await ssh("ssh-add", ["-L"])).stdout.split("\n").map((line) => line.split(" ")[2])).toEqual([
        ...["own", "curve", undefined],
      ])
      for (const name of ["own", "curve"]) {
        const file = join(place.base, `signed-${name}`)
        writeFileSync(file, "what is signed\n")
        const done = await ssh("ssh-keygen", ["-Y", "sign", "-n", "file", "-f", `${made}-${name}.pub`, file])
        expect([done.code, done.stderr], done.stderr).toEqual([0, expect.any(String)])
        const check = ["-Y", "check-novalidate", "-n", "file", "-s", `${file}.sig`]
        expect(
          (await exec("ssh-keygen", check, { timeoutSeconds: 20, input: "what is signed\n" })).code,
        ).toBe(0)
        expect(
          (await exec("ssh-keygen", check, { timeoutSeconds: 20, input: "something else\n" })).code,
        ).not.toBe(0)
      }
      // ssh-add -T has it sign random bytes, which is what a login must not be able to be made of.
      expect((await ssh("ssh-add", ["-T", `${made}-own.pub`])).code).not.toBe(0)
      expect((await ssh("ssh-add", [`${made}-own`])).code).not.toBe(0)
    } finally {
      agent.kill("SIGTERM")
      await once(agent, "close")
    }
    expect(existsSync(socket)).toBe(false)
  })

  test("runs a program with it, and ends with the program's status", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["keygen", "k"])
    const result = await place.run([
      "ssh-agent",
      "k",
      "--",
      "/bin/sh",
      "-c",
      'test -S "$SSH_AUTH_SOCK" && exit 7',
    ])
    expect(result.code).toBe(7)
    expect((await place.run(["ssh-agent", "nothing", "--", "/bin/true"])).code).toBe(66)
  })
})
