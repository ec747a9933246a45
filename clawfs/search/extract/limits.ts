/** Everything that bounds what a file may cost the indexer, in one place. Bytes unless a name says otherwise. */

const KIB = 1024
const MIB = 1024 * KIB

export interface Limits {
  /** Of a plain text file this much is read; the rest is not indexed (`isWhole` is false). */
  readonly maxTextBytes: number
  /** A PDF, office file or book larger than this is "too-large"; of a web page or message so much is read. */
  readonly maxContainerBytes: number
  /** Characters of text that an extractor gives out; what is beyond is cut off. */
  readonly maxOutputChars: number
  /** Entries of a zip archive's directory that are looked at; with more it is "too-large". */
  readonly maxZipEntries: number
  /** Inflated bytes of one entry of an archive; what is beyond is cut off. */
  readonly maxEntryBytes: number
  /** Inflated bytes of all entries of an archive together. */
  readonly maxInflatedBytes: number
  /** Pages, slides, sheets or chapters of a document. */
  readonly maxPages: number
  /** Parts of a message, nested ones included. */
  readonly maxMailParts: number
  /** Wall-clock time of one file in the extractor's process, milliseconds; then it is killed. */
  readonly timeoutMs: number
  /** Heap of the extractor's process (V8's old space), MiB. */
  readonly maxHeapMib: number
  /** All writable memory of the extractor's process (RLIMIT_DATA). */
  readonly maxMemoryBytes: number
  /** The extractor's process ends after so long without work, milliseconds. */
  readonly idleMs: number
  /** A new process is started after so many files, so that what a library leaks goes. */
  readonly maxFilesPerProcess: number
}

export const DEFAULT_LIMITS: Limits = {
  maxTextBytes: 10 * MIB,
  maxContainerBytes: 64 * MIB,
  maxOutputChars: 10 * MIB,
  maxZipEntries: 20_000,
  maxEntryBytes: 32 * MIB,
  maxInflatedBytes: 64 * MIB,
  maxPages: 5000,
  maxMailParts: 200,
  timeoutMs: 20_000,
  maxHeapMib: 320,
  maxMemoryBytes: 512 * MIB,
  idleMs: 30_000,
  maxFilesPerProcess: 500,
}
