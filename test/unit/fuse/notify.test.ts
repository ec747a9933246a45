import { expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { entryMessage, inodeMessage } from "../../../clawfs/fuse/notify.ts"

const NODE = 0x0203 as NodeId

test("a name is told with its length, its directory, and a zero byte behind it", () => {
  expect(entryMessage(NODE, Buffer.from("né")).toString("hex")).toBe(
    // length, FUSE_NOTIFY_INVAL_ENTRY, unique 0 · parent, namelen, flags · name
    ["24000000", "03000000", "0000000000000000", "0302000000000000", "03000000", "00000000", "6ec3a900"].join(
      "",
    ),
  )
})

test("an inode is told with the whole of its pages", () => {
  expect(inodeMessage(NODE).toString("hex")).toBe(
    [
      "28000000",
      "02000000",
      "0000000000000000",
      "0302000000000000",
      "0000000000000000",
      "0000000000000000",
    ].join(""),
  )
})
