/** An extractor whose process is made of the sources. */
import { Extractor } from "../../../../clawfs/search/extract/extractor.ts"
import {
  isRefusal,
  type ExtractedDocument,
  type Extraction,
} from "../../../../clawfs/search/extract/extraction.ts"
import { DEFAULT_LIMITS, type Limits } from "../../../../clawfs/search/extract/limits.ts"
import { bufferSource } from "../../../../clawfs/search/extract/source.ts"
import { program } from "../../../helpers/programs.ts"

export const childProgram = (): string => program("clawfs/search/extract/child-main.ts")

/** A busy machine must not make a file's end look like the file's fault. */
const PATIENT_MS = 100_000

export function extractor(limits: Partial<Limits> = {}): Extractor {
  return new Extractor({
    limits: { ...DEFAULT_LIMITS, timeoutMs: PATIENT_MS, ...limits },
    program: childProgram(),
  })
}

export const extract = (from: Extractor, name: string, bytes: Buffer): Promise<Extraction> =>
  from.extract(name, bufferSource(bytes))

/** The document, where there must be one. */
export function documentIn(extraction: Extraction): ExtractedDocument {
  if (isRefusal(extraction)) throw new Error(`${extraction.state}: ${extraction.reason}`)
  return extraction
}
