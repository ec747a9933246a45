/** Makes one file of dist/schema/zod.js and all of zod's modules: Node loads that in a quarter of the time (docs/ARCHITECTURE.md). */
import { rolldown } from "rolldown"

const file = "dist/schema/zod.js"
/**
 * Sentences in fifty languages, of which clawfs uses the English ones; those have a module of their own.
 * @type {import("rolldown").Plugin}
 */
const withoutLocales = {
  name: "without-locales",
  resolveId: (id) => (id.endsWith("/locales/index.js") ? "\0locales" : undefined),
  load: (id) => (id === "\0locales" ? "export {}" : undefined),
}

const bundle = await rolldown({ input: file, platform: "node", plugins: [withoutLocales] })
await bundle.write({ file, format: "esm" })
