/** An embedding service (OpenAI's `/v1/embeddings`) on loopback: a vector a text, by the letters in it. Enough to tell words apart. */
import { createServer } from "node:http"

export interface EmbeddingEndpoint extends AsyncDisposable {
  readonly url: string
  /** What was embedded. */
  readonly texts: readonly string[]
  close(): Promise<void>
}

export interface EndpointOptions {
  /** It answers only who has this key. */
  readonly key?: string
  readonly vectorOf?: (text: string) => number[]
}

/** 128 numbers: 1 for each letter that is there. */
export function vectorOfLetters(text: string): number[] {
  const vector = new Array<number>(128).fill(0)
  for (const letter of text) vector[letter.charCodeAt(0) % 128] = 1
  return vector
}

export async function embeddingEndpoint(options: EndpointOptions = {}): Promise<EmbeddingEndpoint> {
  const { key, vectorOf = vectorOfLetters } = options
  const texts: string[] = []
  const server = createServer((request, response) => {
    let body = ""
    if (key !== undefined && request.headers.authorization !== `Bearer ${key}`) {
      response.statusCode = 401
      response.end()
      return
    }
    request.on("data", (part: Buffer) => (body += part.toString()))
    request.on("end", () => {
      const input = [(JSON.parse(body) as { input: string | string[] }).input].flat()
      texts.push(...input)
      const data = input.map((text, index) => ({ index, embedding: vectorOf(text) }))
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify({ data }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return { url: `http://127.0.0.1:${port}`, texts, close, [Symbol.asyncDispose]: close }
}
