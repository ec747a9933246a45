/**
 * Writes the launcher's list as a C header to stdout, for this architecture (scripts/build-native.sh, runner/launcher.c). Without
 * libseccomp it is empty, and launchers run without one.
 */
import { INSTRUCTION_SIZE, hasLibseccomp } from "../sys/libseccomp.ts"
import { compile } from "./compile.ts"
import { launcherList } from "./launcher-list.ts"

/** struct sock_filter: code, where to go on when it is true, when it is false, and a value (bpf(2)) */
function rowsOf(program: Buffer): string[] {
  const rows: string[] = []
  for (let at = 0; at < program.length; at += INSTRUCTION_SIZE) {
    const [code, yes, no] = [program.readUInt16LE(at), program[at + 2] ?? 0, program[at + 3] ?? 0]
    rows.push(`  {${code}, ${yes}, ${no}, ${program.readUInt32LE(at + 4)}u},`)
  }
  return rows
}

const rows = hasLibseccomp ? rowsOf(compile(launcherList()).program) : []
process.stdout.write(`enum { FILTER_LENGTH = ${rows.length} };
static const struct sock_filter FILTER[FILTER_LENGTH + 1] = {
${rows.join("\n")}
  {0, 0, 0, 0},
};
`)
