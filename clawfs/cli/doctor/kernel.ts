/** The kernel's version, and with it the FUSE protocol. */
import { bad, ok, type Check } from "./check.ts"

type Release = readonly [major: number, minor: number]

/** Since which Linux the protocol has which minor version (include/uapi/linux/fuse.h); distributions may carry more. */
const PROTOCOL: readonly (readonly [Release, number])[] = [
  [[6, 18], 45],
  [[6, 16], 44],
  [[6, 15], 43],
  [[6, 14], 42],
  [[6, 12], 41],
  [[6, 9], 40],
  [[6, 6], 39],
  [[6, 2], 38],
  [[6, 1], 37],
  [[5, 17], 36],
  [[5, 16], 35],
  [[5, 14], 34],
  [[5, 11], 33],
  [[5, 10], 32],
  [[5, 4], 31],
]
const OLDEST: Release = [5, 4]
/** FUSE_NOTIFY_RESEND. */
const RESEND: Release = [6, 9]

/** What a mount and this kernel have agreed on: better than what the version promises. */
export interface Agreed {
  readonly minor: number
  readonly resend: boolean
}

export function kernelChecks(release: string, agreed: Agreed | undefined): Check[] {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release)?.map(Number) ?? []
  if (major === undefined || minor === undefined) {
    return [
      bad("warn", "kernel", {
        message: `the kernel calls itself "${release}", which says nothing about what it can do`,
        hint: "ClawFS needs Linux 5.4 or newer, and is best with 6.9 or newer",
      }),
    ]
  }
  return [protocol([major, minor], release, agreed), resend([major, minor], release, agreed)]
}

function isSince([major, minor]: Release, [neededMajor, neededMinor]: Release): boolean {
  return major > neededMajor || (major === neededMajor && minor >= neededMinor)
}

function protocol(version: Release, release: string, agreed: Agreed | undefined): Check {
  if (!isSince(version, OLDEST) && agreed === undefined) {
    return bad("fail", "kernel", {
      message: `Linux ${release} is too old: ClawFS needs 5.4 or newer (FUSE protocol 7.31)`,
      hint: "install a newer kernel",
      facts: { release },
    })
  }
  const expected = PROTOCOL.find(([since]) => isSince(version, since))?.[1]
  const minor = agreed?.minor ?? expected ?? 0
  const source = agreed === undefined ? "by its version" : "as a mount has agreed with it"
  return ok("kernel", `Linux ${release} speaks FUSE protocol 7.${minor}, ${source}`, {
    release,
    fuseMinor: minor,
    isAgreed: agreed !== undefined,
  })
}

function resend(version: Release, release: string, agreed: Agreed | undefined): Check {
  const has = agreed?.resend ?? isSince(version, RESEND)
  if (has) {
    return ok("resend", "a server that dies is replaced without any program noticing more than a stall", {
      resend: true,
    })
  }
  return bad("warn", "resend", {
    message: `Linux ${release} can't send requests again: when a server dies, programs waiting for it get EIO`,
    hint: "install Linux 6.9 or newer",
    facts: { resend: false },
  })
}
