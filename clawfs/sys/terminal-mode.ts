/** A terminal that shows nothing of what is typed and gives each key at once (termios(3)). */
import { checked } from "./ffi.ts"
import { tcgetattr, tcsetattr } from "./libc.ts"

/** struct termios of glibc: four words of flags, the line discipline, 32 control characters, two speeds. */
const TERMIOS = 60
const LOCAL_FLAGS_AT = 12
const CONTROL_AT = 17
const VTIME = 5
const VMIN = 6
const ISIG = 0o1
const ICANON = 0o2
const ECHO = 0o10
const TCSAFLUSH = 2

/** Runs `ask` with the terminal `fd` in that mode, then puts it back as it was. Throws a `Fault` if `fd` is none. */
export function withoutEcho<T>(fd: number, ask: () => T): T {
  const before = Buffer.alloc(TERMIOS)
  checked("tcgetattr", tcgetattr(fd, before))
  const quiet = Buffer.from(before)
  quiet.writeUInt32LE((quiet.readUInt32LE(LOCAL_FLAGS_AT) & ~(ISIG | ICANON | ECHO)) >>> 0, LOCAL_FLAGS_AT)
  quiet[CONTROL_AT + VMIN] = 1
  quiet[CONTROL_AT + VTIME] = 0
  checked("tcsetattr", tcsetattr(fd, TCSAFLUSH, quiet))
  try {
    return ask()
  } finally {
    tcsetattr(fd, TCSAFLUSH, before)
  }
}
