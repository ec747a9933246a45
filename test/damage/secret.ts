/** The key file of the encrypted trees in the samples: known to whoever judges a copy in another process. */
import { sourceOf } from "../../keyring/key-file.ts"
import { KEY_BYTES, copySecret } from "../../keyring/secret.ts"
import { SourceKind, type KeySource } from "../../keyring/slots.ts"

const SECRET = Buffer.alloc(KEY_BYTES, "what opens the samples")

export function keySource(): KeySource {
  return sourceOf(SourceKind.KEY_FILE, copySecret(SECRET))
}
