/** What finds the vault's decoys in requests and answers. */
import { MOST_EXPANSION } from "../encodings.ts"
import { LeakScanner } from "../leaks.ts"

export interface Decoy {
  readonly name: string
  /** base64 */
  readonly value: string
}

export function scannerOf(decoys: readonly Decoy[]): LeakScanner {
  const scanner = new LeakScanner()
  for (const { name, value } of decoys) {
    const bytes = Buffer.from(value, "base64")
    scanner.add(name, bytes, Buffer.alloc(MOST_EXPANSION * bytes.length))
  }
  return scanner
}
