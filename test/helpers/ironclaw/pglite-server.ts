/** PostgreSQL in WebAssembly with pgvector, behind a socket that ordinary clients connect to. */
import { PGlite } from "@electric-sql/pglite"
import { vector } from "@electric-sql/pglite-pgvector"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"

export class PgliteServer implements AsyncDisposable {
  readonly url: string
  readonly #db: PGlite
  readonly #server: PGLiteSocketServer

  private constructor(db: PGlite, server: PGLiteSocketServer, port: number) {
    this.#db = db
    this.#server = server
    this.url = `postgresql://postgres@127.0.0.1:${port}/postgres?sslmode=disable`
  }

  static async start(): Promise<PgliteServer> {
    const db = await PGlite.create({ extensions: { vector } })
    const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0, maxConnections: 4 })
    let port = 0
    server.addEventListener("listening", (event) => {
      port = (event as CustomEvent<{ port: number }>).detail.port
    })
    await server.start()
    return new PgliteServer(db, server, port)
  }

  async exec(sql: string): Promise<void> {
    await this.#db.exec(sql)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop()
    await this.#db.close()
  }
}
