/** Starts an extractor's process, prints its number, and waits to be killed. */
import { Extractor } from "../../../../clawfs/search/extract/extractor.ts"
import { bufferSource } from "../../../../clawfs/search/extract/source.ts"

const [child = ""] = process.argv.slice(2)
const extractor = new Extractor({ program: child })
await extractor.extract("a.html", bufferSource(Buffer.from("<html><p>x")))
process.stdout.write(`${extractor.pid ?? 0}\n`)
setInterval(() => undefined, 1000)
