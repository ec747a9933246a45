/** Argon2id by libsodium against RFC 9106, through an implementation of its text that the RFC's own vector proves. */
import { beforeEach, expect, test } from "vitest"
import { bindFrom } from "../../../clawfs/sys/ffi.ts"
import { hasArgon2id } from "../../../clawfs/sys/libsodium.ts"
import { Kdf, derive } from "../../../keyring/kdf.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { argon2id } from "./argon2-reference.ts"

beforeEach((context) => skipIf(context, hasArgon2id() ? undefined : "no libsodium"))

/** BLAKE2b with 256 bits is not a part of the one with 512, and node:crypto has that alone. */
function blake2b256(bytes: Buffer): Buffer {
  const hash = bindFrom("libsodium.so.23")?.<[Buffer, number, Buffer, bigint, null, number]>(
    "int crypto_generichash(void*, size_t, const void*, uint64_t, const void*, size_t)",
  )
  const out = Buffer.alloc(32)
  if (hash?.(out, 32, bytes, BigInt(bytes.length), null, 0) !== 0) throw new Error("no BLAKE2b")
  return out
}

test("the reference: RFC 9106, section 5.3", () => {
  const tag = argon2id(
    {
      ...{ password: Buffer.alloc(32, 1), salt: Buffer.alloc(16, 2), secret: Buffer.alloc(8, 3) },
      ...{ data: Buffer.alloc(12, 4), lanes: 4, passes: 3, memoryKiB: 32, length: 32 },
    },
    blake2b256,
  )
  expect(tag.toString("hex")).toBe("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
})

test.each([
  [1, 8],
  [2, 32],
  [3, 64],
  [1, 600],
])("the keyring's gives the same: %i passes, %i KiB", (passes, memoryKiB) => {
  const [password, salt] = [Buffer.from("correct horse battery staple"), Buffer.from("0123456789abcdef")]
  expect(derive(password, { kdf: Kdf.ARGON2ID, salt, cost: passes, memoryKiB })).toEqual(
    argon2id({ password, salt, lanes: 1, passes, memoryKiB, length: 32 }, blake2b256),
  )
})
