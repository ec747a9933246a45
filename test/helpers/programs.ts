/**
 * Test programs that run in processes of their own are TypeScript too, which Node 20 cannot run. They are transpiled
 * (types removed, nothing else) with the files they import to build/test-programs, where they can also be run by hand.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

/** The nearest directory with a package.json: this file also runs from build/test-programs. */
export const repository = ((): string => {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory)
  return directory
})()

/** The program, a file a module, as the compiler leaves it: `dist` is made of it (scripts/bundle.mjs). */
export const compiledModules = join(repository, "build", "modules")

const output = join(repository, "build", "test-programs")
const done = new Set<string>()

/** The path of the runnable program made of a source such as "test/model/fsx.ts". */
export function program(source: string): string {
  const file = resolve(repository, source)
  transpile(file)
  return target(file)
}

const target = (file: string): string =>
  join(output, file.slice(repository.length + 1).replace(/\.ts$/, ".js"))

function transpile(file: string): void {
  if (done.has(file)) return
  done.add(file)
  const source = readFileSync(file, "utf8")
  const { outputText } = ts.transpileModule(source, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
  })
  publish(target(file), outputText)
  for (const [, relative] of source.matchAll(/^(?:import|export|\}) [^"]*"(\.[^"]+\.ts)"/gm)) {
    if (relative !== undefined) transpile(resolve(dirname(file), relative))
  }
}

/** Two test runs may do this at once: the file appears whole, and with the same content. */
function publish(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  const temporary = `${file}.${process.pid}`
  writeFileSync(temporary, text)
  renameSync(temporary, file)
}
