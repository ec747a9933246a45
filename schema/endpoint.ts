/**
 * What a secret may be sent to: one provider of an endpoint allow list (ClawOS P3.6), with the place where its requests have the
 * secret. The names are that document's.
 */
import { z } from "./zod.ts"

const text = z.string().min(1).max(255)
const count = z.int().positive().max(1_000_000)

/** Starts with a slash; * stands for one segment, ** at the end for any number of them. */
const path = z
  .string()
  .max(1024)
  .regex(
    /^(\/(\*|[\w.~!$&'()+,;=:@-]*))+(\/\*\*)?$|^\/\*\*$/,
    "must be a path of plain segments, * and a last **",
  )

export const ENDPOINT_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const

/** A header's value has {} where the secret stands; basic: the user's name, the secret is the password. */
const place = z.union([
  z.strictObject({
    header: z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/),
    format: z
      .string()
      .max(255)
      .regex(/^[\x20-\x7e]*\{\}[\x20-\x7e]*$/)
      .optional(),
  }),
  z.strictObject({
    basic: z
      .string()
      .max(255)
      .regex(/^[\x20-\x39\x3b-\x7e]*$/),
  }),
  z.strictObject({ query: z.string().regex(/^[\w.-]{1,64}$/) }),
  z.strictObject({ form: z.string().regex(/^[\w.-]{1,64}$/) }),
  z.strictObject({
    json: z
      .string()
      .max(255)
      .regex(/^(\/[\w.-]+)+$/),
  }),
])

export const Endpoint = z.strictObject({
  provider_id: z.string().regex(/^[a-z0-9-]{1,64}$/),
  provider_name: text.optional(),
  base_url: z.string().max(1024),
  endpoints: z
    .array(
      z.strictObject({
        endpoint_id: text.optional(),
        method: z.enum(ENDPOINT_METHODS),
        path,
        enabled: z.boolean().optional(),
      }),
    )
    .min(1)
    .max(64),
  place,
  rate_limits: z
    .strictObject({
      requests_per_minute: count.optional(),
      requests_per_hour: count.optional(),
      requests_per_day: count.optional(),
      burst_size: count.optional(),
    })
    .optional(),
  tls: z
    .strictObject({
      min_tls_version: z.enum(["1.2", "1.3"]).optional(),
      /** Who signs the server's certificate, instead of the usual authorities; PEM. */
      ca: z.string().max(16_384).optional(),
    })
    .optional(),
  /** Of networks that are not public: ADDRESS/BITS. */
  addresses: z
    .array(z.union([z.cidrv4(), z.cidrv6()]))
    .max(32)
    .optional(),
  limits: z
    .strictObject({
      request_bytes: z.int().nonnegative().max(16_777_216).optional(),
      response_bytes: z.int().positive().max(1_073_741_824).optional(),
      /** Until an answer begins, and between its parts. */
      timeout_ms: z.int().min(1000).max(600_000).optional(),
    })
    .optional(),
})

export type EndpointText = z.infer<typeof Endpoint>
export type Place = z.infer<typeof place>
