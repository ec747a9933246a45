/** IronClaw's master key: text, of which the bytes count as they are. Never an argument of a command. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { readOwn } from "../../keyring/key-file.ts"
import { Fault } from "../core/fault.ts"
import { LEAST_MASTER_KEY_BYTES } from "./secrets/ironclaw-crypto.ts"

export const MASTER_KEY_VARIABLE = "SECRETS_MASTER_KEY"
/** Of IronClaw 1.x. */
const REBORN_VARIABLE = "IRONCLAW_REBORN_SECRET_MASTER_KEY"
const REBORN_FILE = ".reborn-local-dev-secrets-master-key"
const LINE = new RegExp(`^\\s*(?:export\\s+)?${MASTER_KEY_VARIABLE}\\s*=\\s*(.*?)\\s*$`, "m")

export interface MasterKeyPlaces {
  /** A file with the key, or an .env file that has it. */
  readonly file: string | undefined
  /** IronClaw's own directory, such as ~/.ironclaw. */
  readonly home: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Undefined where it is nowhere. Throws for a file that can't be read, others may read, or holds no key. */
export function findMasterKey({ file, home, environment }: MasterKeyPlaces): Buffer | undefined {
  if (file !== undefined) return checked(textIn(file), file)
  for (const name of [MASTER_KEY_VARIABLE, REBORN_VARIABLE]) {
    const variable = environment[name]
    if (variable !== undefined && variable !== "") return checked(variable, name)
  }
  const own = home === undefined ? [] : [".env", ".master_key", REBORN_FILE].map((name) => join(home, name))
  for (const path of own.filter((each) => existsSync(each))) {
    const text = textIn(path)
    if (text !== "") return checked(text, path)
  }
  return undefined
}

/** Of an .env file the value of the variable, "" where it has none; else all but the line's end. */
function textIn(path: string): string {
  const text = readOwn(path, "file with the master key").toString()
  const [, value] = LINE.exec(text) ?? []
  if (value !== undefined) return value.replace(/^(["'])(.*)\1$/, "$2")
  return path.endsWith(".env") ? "" : text.replace(/\r?\n$/, "")
}

function checked(text: string, where: string): Buffer {
  const key = Buffer.from(text)
  if (key.length >= LEAST_MASTER_KEY_BYTES) return key
  throw new Fault(
    "invalid",
    `${where} holds no master key: it has ${key.length} bytes, and IronClaw's have at least ${LEAST_MASTER_KEY_BYTES}`,
  )
}
