/** What a path of IronClaw 1.x's virtual filesystem is, and where it goes. */
import { encodeId, encodePath } from "../names.ts"

/** The one of installations with a single tenant. */
const TENANT = "default"
const NONE = "_none"

export interface SecretPlace {
  readonly tenant: string
  readonly user: string
  readonly agent: string
  readonly project: string
  readonly handle: string
}

export type Entry =
  | { readonly kind: "document"; readonly path: readonly string[] }
  | { readonly kind: "secret"; readonly place: SecretPlace }
  /** Settings and extensions: JSON that may hold credentials. */
  | { readonly kind: "settings"; readonly path: readonly string[]; readonly user: string }
  | { readonly kind: "file"; readonly path: readonly string[] }
  /** Of no use after the move, or sealed in a way of its own. */
  | { readonly kind: "archive"; readonly names: readonly string[] }

const DOCUMENT = /^\/memory\/tenants\/([^/]+)\/users\/([^/]+)\/agents\/([^/]+)\/projects\/([^/]+)\/(.+)$/s
const SECRET =
  /^\/tenants\/([^/]+)\/users\/([^/]+)\/secrets(?:\/agents\/([^/]+))?(?:\/projects\/([^/]+))?\/secrets\/([^/]+)\.json$/s
const SEALED =
  /^\/tenants\/[^/]+\/users\/[^/]+\/(?:secrets|secret-leases|credential-accounts|credential-sessions)\//s
/** 1.x keeps these names for what belongs to a document. */
const PARTS = /\.(?:meta|chunks|versions)(?:\/|$)/
const SETTINGS =
  /^\/(?:tenants\/[^/]+\/users\/([^/]+)\/|tenants\/[^/]+\/shared\/|)(?:system\/)?(?:settings|extensions)\/.*\.json$/s

export function entryOf(path: string): Entry {
  const document = DOCUMENT.exec(path)
  const names = encodePath(path.replace(/^\//, ""))
  if (document !== null) {
    const [, tenant = "", user = "", agent = "", project = "", rest = ""] = document
    if (PARTS.test(rest)) return { kind: "archive", names }
    const workspace = ["workspaces", encodeId(tenant === TENANT ? user : `${tenant}:${user}`)]
    const own = agent === NONE ? workspace : ["agents", encodeId(agent), ...workspace]
    return {
      kind: "document",
      path: [...own, ...(project === NONE ? [] : [".projects", encodeId(project)]), ...encodePath(rest)],
    }
  }
  const secret = SECRET.exec(path)
  if (secret !== null) {
    const [, tenant = "", user = "", agent = "", project = "", handle = ""] = secret
    return { kind: "secret", place: { tenant, user, agent, project, handle } }
  }
  if (SEALED.test(path)) return { kind: "archive", names }
  const target = ["agents", "default", "ironclaw", ...names]
  const settings = SETTINGS.exec(path)
  if (settings !== null) return { kind: "settings", path: target, user: settings[1] ?? "system" }
  return { kind: "file", path: target }
}
