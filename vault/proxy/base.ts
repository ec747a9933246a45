/** Where a grant's requests go. */
import { Fault } from "../../clawfs/core/fault.ts"
import type { EndpointText } from "../../schema/endpoint.ts"
import { matches, segmentsOf } from "./target.ts"

export interface Base {
  /** As a URL has it: IPv6 in brackets. */
  readonly host: string
  readonly port: number
  /** Without a slash at its end. */
  readonly path: string
}

/** Throws `Fault("invalid")` for anything but https://host[:port][/path]. */
export function baseOf({ base_url: text }: EndpointText): Base {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "https:" || url.username !== "" || url.password !== "" || /[?#]/.test(text))
    throw new Fault("invalid", "the base_url of an endpoint is https://host/path")
  const path = url.pathname.replace(/\/$/, "")
  if (path !== "") segmentsOf(path)
  return { host: url.hostname, port: url.port === "" ? 443 : Number(url.port), path }
}

/** The path behind the base that a request asks for; undefined where it is not for this endpoint. */
export function pathWithin(
  endpoint: EndpointText,
  {
    provider,
    host,
    path,
  }: { readonly provider?: string | undefined; readonly host?: string | undefined; readonly path: string },
): string | undefined {
  if (provider !== undefined) return provider === endpoint.provider_id ? path : undefined
  const base = baseOf(endpoint)
  const names = [`${base.host}:${base.port}`, ...(base.port === 443 ? [base.host, `${base.host}:80`] : [])]
  if (host === undefined || !names.includes(host)) return undefined
  if (path === base.path) return "/"
  return path.startsWith(`${base.path}/`) ? path.slice(base.path.length) : undefined
}

/** Whether an endpoint's list has the request. */
export function isListed({ endpoints }: EndpointText, method: string, path: string): boolean {
  return endpoints.some(
    (each) => each.enabled !== false && each.method === method && matches(each.path, path),
  )
}
