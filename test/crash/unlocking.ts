/** Key files for the encrypted trees of a recording, and the unlocking of a store with whichever of them fits. */
import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Store } from "../../clawfs/store/store.ts"
import { sourceOf } from "../../keyring/key-file.ts"
import { SourceKind, openSlot } from "../../keyring/slots.ts"
import { keyFile } from "./history.ts"
import { KEY_FILES } from "./tree-moves.ts"

/** Their bytes; number 1 is the first. */
export type KeyFiles = readonly Buffer[]

export const keyFilePath = (directory: string, number: number): string => join(directory, String(number))

export function makeKeyFiles(directory: string): void {
  mkdirSync(directory)
  for (let number = 1; number <= KEY_FILES; number += 1)
    writeFileSync(keyFilePath(directory, number), randomBytes(32), { mode: 0o600 })
}

export function readKeyFiles(directory: string): KeyFiles {
  return readdirSync(directory).map((_, index) => readFileSync(keyFilePath(directory, index + 1)))
}

/** Unlocks every tree that one of the files opens; tells of each which it was. */
export function unlockAll(store: Store, files: KeyFiles): Map<number, string> {
  const opened = new Map<number, string>()
  for (const id of store.keys.ids()) {
    const identity = store.sealing.identityOf(id)
    const checkValue = store.keys.get(id)?.checkValue ?? Buffer.alloc(0)
    for (const slot of store.keys.slots(id)) {
      files.forEach((bytes, index) => {
        using source = sourceOf(SourceKind.KEY_FILE, Buffer.from(bytes))
        const key = openSlot(identity, slot, source, checkValue)
        if (key === undefined) return
        store.unlockTree(key)
        opened.set(id, keyFile(index + 1))
      })
    }
  }
  return opened
}
