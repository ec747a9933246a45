/** What stands where a credential was: the name of the vault's secret that has it now. */

/** As the vault takes them (vault/vault.ts). */
export const MOST_VALUE_BYTES = 64 * 1024
const PREFIX = "vault:"

export function vaultReference(name: string): string {
  return `${PREFIX}${name}`
}

export function isVaultReference(text: string): boolean {
  return /^vault:[a-z0-9][a-z0-9.-]*$/.test(text)
}
