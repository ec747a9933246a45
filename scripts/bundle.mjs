/**
 * Makes the program, `dist`, of the compiled modules in `build/modules`: a file for each program and worker, and what several of
 * them share in `dist/chunks`. Node takes half a millisecond to load a module; the processes of a mount are made of hundreds
 * (docs/ARCHITECTURE.md).
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"
import { rolldown } from "rolldown"

const modules = resolve("build/modules")
const dist = resolve("dist")
const isPackage = (/** @type {string} */ id) => !id.startsWith(".") && !id.startsWith("/")

/**
 * Sentences in fifty languages, of which clawfs uses the English ones; those have a module of their own.
 * @type {import("rolldown").Plugin}
 */
const withoutLocales = {
  name: "without-locales",
  resolveId: (id) => (id.endsWith("/locales/index.js") ? "\0locales" : undefined),
  load: (id) => (id === "\0locales" ? "export {}" : undefined),
}

/** Stands for the way from a file of `dist` to `dist`. */
const TOP = "@@top@@"

/**
 * A module that looks for a file beside itself looks for it in `dist` where it would lie there, whatever file the module is in.
 * @type {import("rolldown").Plugin}
 */
const places = {
  name: "places",
  transform: (code, id) =>
    id.startsWith(modules + sep)
      ? code.replaceAll("import.meta.url", `new URL("${TOP}/${relative(modules, id)}", import.meta.url).href`)
      : undefined,
  renderChunk: (code, { fileName }) => code.replaceAll(TOP, `./${relative(dirname(fileName), ".")}`),
}

/** Paths below the modules' folder, with this ending. */
const files = (/** @type {string} */ ending) =>
  readdirSync(modules, { recursive: true, encoding: "utf8" }).filter(
    (path) => path.endsWith(ending) && statSync(join(modules, path)).isFile(),
  )

/** The modules that others start as programs or workers: whatever they name, and do not import. */
function programs() {
  const named = files(".js").flatMap((file) => {
    const text = readFileSync(join(modules, file), "utf8")
    if (!text.includes("import.meta.url")) return []
    const names = [...text.matchAll(/(?<!from |import\()"([./\w-]+\.js)"/g)].map(([, name = ""]) => name)
    return names.map((name) => join(dirname(file), name)).filter((path) => existsSync(join(modules, path)))
  })
  return [...new Set(["clawfs/cli/main.js", ...named])]
}

// For tests that change single modules and run what comes of it (test/crash/variants.ts), in `build/modules` too.
const zod = join(modules, "schema", "zod.js")
const whole = await rolldown({ input: zod, platform: "node", plugins: [withoutLocales] })
await whole.write({ file: zod, format: "esm" })

const input = Object.fromEntries(programs().map((path) => [path.replace(/\.js$/, ""), join(modules, path)]))
const bundle = await rolldown({ input, platform: "node", plugins: [places], external: isPackage })
await bundle.write({
  dir: dist,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "chunks/[name]-[hash].js",
})
// The monitor's program, and the small ones in C.
for (const file of files("").filter((path) => !path.endsWith(".js"))) {
  mkdirSync(join(dist, dirname(file)), { recursive: true })
  copyFileSync(join(modules, file), join(dist, file))
}
