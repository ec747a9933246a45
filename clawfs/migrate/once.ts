/** A content that is there at once, as a stream. */
// eslint-disable-next-line @typescript-eslint/require-await -- a stream of one piece
export async function* once(content: Buffer | string): AsyncGenerator<Buffer> {
  yield typeof content === "string" ? Buffer.from(content) : content
}
