/** Requests that wait for a search, by the number of what they wait for. One that a killed server held is sent again by the kernel. */
export class Parked {
  readonly #waiting = new Map<number, Buffer[]>()
  /** Answers a request for good. */
  serve: (bytes: Buffer) => void = () => undefined

  /** Takes a copy of a request over. */
  hold(key: number, request: Buffer): void {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) this.#waiting.set(key, [Buffer.from(request)])
    else waiting.push(Buffer.from(request))
  }

  /** What they wait for is there: they are answered, in the order in which they came. */
  release(key: number): void {
    const waiting = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const bytes of waiting) this.serve(bytes)
  }
}
