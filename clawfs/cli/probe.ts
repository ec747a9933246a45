/**
 * Looks at things that may hang or crash: in a child process with a time limit. A dead or stopped daemon blocks whoever
 * touches its mount, and a native module that does not fit the machine ends its process.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export type Probe =
  "statfs" | "read" | "lock" | "ffi" | "sqlite" | "memfd" | "hnsw" | "zstd" | "argon2id" | "seccomp"

/** `code` is an errno name, "ETIMEDOUT", the signal that ended the probe, or "". */
export type ProbeResult =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly code: string; readonly message: string }

const TIMEOUT_MS = 5000
const program = fileURLToPath(new URL("./probe-main.js", import.meta.url))

export function probe(what: Probe, path = ""): Promise<ProbeResult> {
  // The working directory may lie on the very mount that hangs.
  const child = spawn(process.execPath, [program, what, path], {
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  })
  const output = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()))
  const started = Date.now()
  return new Promise((resolve) => {
    child.on("error", (error) => resolve({ ok: false, code: "", message: error.message }))
    child.on("close", (_, signal) => {
      const late = signal === "SIGKILL" && Date.now() - started >= TIMEOUT_MS
      if (late) resolve({ ok: false, code: "ETIMEDOUT", message: `no answer in ${TIMEOUT_MS / 1000} s` })
      else if (signal !== null) resolve({ ok: false, code: signal, message: `it crashed with ${signal}` })
      else resolve(parse(output))
    })
  })
}

function parse({ stdout, stderr }: { stdout: string; stderr: string }): ProbeResult {
  try {
    return JSON.parse(stdout) as ProbeResult
  } catch {
    const [line = "no answer"] = stderr.split("\n").filter((text) => text.includes("Error"))
    return { ok: false, code: "", message: line }
  }
}

export type MountHealth = "alive" | "dead" | "hung"

/**
 * Whether anybody answers for a FUSE mount. statfs, because stat may be answered from the kernel's cache long after the
 * daemon's end. A mount that is not ours to enter counts as alive.
 */
export async function healthOf(mountpoint: string): Promise<MountHealth> {
  const result = await probe("statfs", mountpoint)
  if (result.ok) return "alive"
  if (result.code === "ETIMEDOUT") return "hung"
  return result.code === "ENOTCONN" || result.code === "ECONNABORTED" ? "dead" : "alive"
}
