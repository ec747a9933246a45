/**
 * AWS Signature Version 4 against the examples that AWS publishes: "Signature calculations for the Authorization header" (S3 API
 * Reference), "Create a signed AWS API request" (IAM User Guide) and the signature version 4 test suite.
 */
import { describe, expect, test } from "vitest"
import { signAws, type AwsRequest } from "../../../vault/sign/aws.ts"

const SUITE = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
const S3 = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const room = (): Buffer => Buffer.alloc(100)

function signed(
  key: string,
  time: string,
  request: Partial<AwsRequest> & { url: string; service: string },
): Readonly<Record<string, string>> {
  return signAws(
    { method: "GET", region: "us-east-1", ...request },
    Buffer.from(key),
    room(),
    Date.parse(time),
  )
}

describe("the test suite", () => {
  const header = (url: string, more: Partial<AwsRequest> = {}): string | undefined =>
    signed(SUITE, "2015-08-30T12:36:00Z", { url, service: "service", ...more })["authorization"]
  const of = (signature: string, names = "host;x-amz-date"): string =>
    `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${names}, Signature=${signature}`

  test.each([
    [
      "get-vanilla",
      "https://example.amazonaws.com/",
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ],
    [
      "get-vanilla-query-order-key-case",
      "https://example.amazonaws.com/?Param2=value2&Param1=value1",
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ],
    [
      "get-vanilla-query-unreserved",
      "https://example.amazonaws.com/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
      "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ],
  ])("%s", (_name, url, signature) => {
    expect(header(url)).toBe(of(signature))
  })

  test("post-vanilla, and headers in any order and case", () => {
    expect(header("https://example.amazonaws.com/", { method: "POST" })).toBe(
      of("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    )
    expect(
      header("https://example.amazonaws.com/", {
        headers: { "My-Header2": '"a   b   c"', "My-Header1": "  value1 " },
      }),
    ).toBe(
      of(
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        "host;my-header1;my-header2;x-amz-date",
      ),
    )
  })
})

test("IAM User Guide: ListUsers", () => {
  expect(
    signed(SUITE, "2015-08-30T12:36:00Z", {
      ...{ url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", service: "iam" },
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    })["authorization"],
  ).toBe(
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
  )
})

describe("S3", () => {
  test.each<[string, Partial<AwsRequest> & { url: string }, string]>([
    [
      "GET object",
      { url: "https://examplebucket.s3.amazonaws.com/test.txt", headers: { Range: "bytes=0-9" } },
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ],
    [
      "PUT object",
      {
        method: "PUT",
        url: "https://examplebucket.s3.amazonaws.com/test$file.text",
        headers: { Date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
        payloadHash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      },
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ],
    [
      "GET lifecycle",
      { url: "https://examplebucket.s3.amazonaws.com/?lifecycle" },
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ],
    [
      "list objects",
      { url: "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J" },
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ],
  ])("%s", (_name, request, signature) => {
    const headers = signed(S3, "2013-05-24T00:00:00Z", { service: "s3", ...request })
    expect(headers["authorization"]).toMatch(new RegExp(`Signature=${signature}$`))
    expect(headers["x-amz-date"]).toBe("20130524T000000Z")
  })
})

test("what is no request or no key is refused, and the room has only what the caller wipes", () => {
  const request = { url: "https://h.example/", service: "s3" }
  const time = "2013-05-24T00:00:00Z"
  for (const wrong of [
    { ...request, url: "http://h.example/" },
    { ...request, url: "https://u@h.example/" },
    { ...request, url: "nothing" },
    { ...request, url: "https://h.example/%zz" },
    { ...request, headers: { Authorization: "x" } },
    { ...request, headers: { "X-Amz-Date": "x" } },
    { ...request, headers: { a: "b\r\nc: d" } },
    { ...request, headers: { "a b": "c" } },
  ])
    expect(() => signed(S3, time, wrong)).toThrow(expect.objectContaining({ kind: "invalid" }))
  for (const key of ["", "no-colon", ":", "AKIAIOSFODNN7EXAMPLE:", "short:short", `${S3}:token`, `${S3}\n`])
    expect(() => signed(key, time, request), key).toThrow(expect.objectContaining({ kind: "invalid" }))
})
